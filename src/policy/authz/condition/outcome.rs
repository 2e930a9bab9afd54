//! What an expression comes to, as far as its form tells: a condition that can never be true or
//! false is a mistake of the file.

use cel::{
    IdedExpr,
    common::ast::{Expr, LiteralValue, operators},
};

use super::names::{self, Reference, Thing};

/// Functions that answer yes or no.
const ANSWERS: [&str; 13] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::IN,
    "contains",
    "endsWith",
    "startsWith",
];

/// Whether it could come to true or false. What a claim, a member of a list or a loop holds is
/// known only with a request.
pub(super) fn may_be_boolean(expression: &IdedExpr, references: &[Reference]) -> bool {
    match &expression.expr {
        Expr::Literal(LiteralValue::Boolean(_)) => true,
        Expr::Literal(_) | Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => false,
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => {
            call.args.iter().skip(1).all(|branch| may_be_boolean(branch, references))
        }
        Expr::Call(call) => {
            let name = call.func_name.as_str();
            ANSWERS.contains(&name) || ["matches", operators::INDEX].contains(&name)
        }
        Expr::Ident(name) => match names::number(name, names::REFERENCE) {
            Some(number) => references.get(number).is_none_or(is_answer),
            None => true,
        },
        _ => true,
    }
}

/// Whether what is read, or asked for, may be true or false.
fn is_answer(reference: &Reference) -> bool {
    reference.test || matches!(reference.of, Thing::Claim(_))
}
