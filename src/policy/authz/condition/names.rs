//! What an expression names, checked against what there is, and put in its place by number.
//!
//! `claims.org.name` becomes one look-up instead of three, a literal pattern becomes a compiled
//! one, and what does not exist is a fault of the file instead of a refusal at night.

use std::fmt;

use cel::{
    IdedExpr,
    common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SourceInfo, operators},
};

use super::{
    ConditionFault, ConditionFaultKind, MAX_DEPTH, MAX_ITEMS, MAX_LOOPS,
    pattern::{FUNCTIONS, Pattern},
    span,
};

/// How the number of a reference begins in an expression; no source can spell it.
pub(super) const REFERENCE: &str = "@r";
/// How the number of a pattern begins.
pub(super) const PATTERN: &str = "@p";

/// The number in a name that begins so.
pub(super) fn number(name: &str, beginning: &str) -> Option<usize> {
    name.strip_prefix(beginning)?.parse().ok()
}

/// Something of a request or principal that an expression reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// What.
    pub(super) of: Thing,
    /// Whether it asks only if that is there.
    pub(super) test: bool,
}

/// What an expression can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    /// A claim by the names of its members from the top; all claims if there are none.
    Claim(Vec<String>),
    /// The client's address.
    ClientIp,
    /// A header by its name; absent is all of them.
    Header(Option<String>),
    /// The time.
    Now,
    /// A path parameter.
    Path(String),
    /// A member of the principal.
    Principal(PrincipalMember),
    /// A query parameter by its name; absent is all of them.
    Query(Option<String>),
    /// A member of the request.
    Request(RequestMember),
}

/// What an expression can read of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrincipalMember {
    Issuer,
    Method,
    Permissions,
    Plan,
    Roles,
    Subject,
}

/// What an expression can read of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestMember {
    Host,
    Id,
    Method,
    Path,
    Scheme,
}

const PRINCIPAL: [(&str, PrincipalMember); 6] = [
    ("issuer", PrincipalMember::Issuer),
    ("method", PrincipalMember::Method),
    ("permissions", PrincipalMember::Permissions),
    ("plan", PrincipalMember::Plan),
    ("roles", PrincipalMember::Roles),
    ("subject", PrincipalMember::Subject),
];

const REQUEST: [(&str, RequestMember); 5] = [
    ("host", RequestMember::Host),
    ("id", RequestMember::Id),
    ("method", RequestMember::Method),
    ("path", RequestMember::Path),
    ("scheme", RequestMember::Scheme),
];

const ROOTS: [&str; 8] =
    ["claims", "client", "headers", "now", "path", "principal", "query", "request"];

impl Reference {
    pub(super) fn needs_principal(&self) -> bool {
        matches!(self.of, Thing::Claim(_) | Thing::Principal(_))
    }

    pub(super) fn header(&self) -> Option<&str> {
        match &self.of {
            Thing::Header(name) => name.as_deref(),
            _ => None,
        }
    }

    pub(super) fn param(&self) -> Option<&str> {
        match &self.of {
            Thing::Path(parameter) => Some(parameter),
            _ => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Thing::Claim(path) => {
                f.write_str("claims")?;
                path.iter().try_for_each(|member| write!(f, ".{member}"))
            }
            Thing::ClientIp => f.write_str("client.ip"),
            Thing::Header(None) => f.write_str("headers"),
            Thing::Header(Some(name)) => write!(f, "headers[\"{name}\"]"),
            Thing::Now => f.write_str("now"),
            Thing::Path(parameter) => write!(f, "path.{parameter}"),
            Thing::Principal(member) => write!(f, "principal.{}", name_of(&PRINCIPAL, member)),
            Thing::Query(None) => f.write_str("query"),
            Thing::Query(Some(name)) => write!(f, "query.{name}"),
            Thing::Request(member) => write!(f, "request.{}", name_of(&REQUEST, member)),
        }
    }
}

fn name_of<M: PartialEq>(members: &[(&'static str, M)], member: &M) -> &'static str {
    members.iter().find(|(_, known)| known == member).map_or("", |(name, _)| name)
}

/// The check of one expression.
pub(super) struct Names<'s> {
    source: &'s str,
    params: &'s [&'s str],
    positions: &'s SourceInfo,
    /// Variables of the comprehensions around the present place.
    local: Vec<String>,
    loops: usize,
    references: Vec<Reference>,
    patterns: Vec<Pattern>,
}

impl<'s> Names<'s> {
    pub(super) fn new(source: &'s str, params: &'s [&'s str], positions: &'s SourceInfo) -> Self {
        Self {
            source,
            params,
            positions,
            local: Vec::new(),
            loops: 0,
            references: Vec::new(),
            patterns: Vec::new(),
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Reference>, Vec<Pattern>) {
        (self.references, self.patterns)
    }

    /// Checks an expression and puts numbers in the place of names and patterns.
    pub(super) fn check(&mut self, expression: &mut IdedExpr) -> Result<(), ConditionFault> {
        self.visit(expression, 0)
    }

    fn visit(&mut self, node: &mut IdedExpr, depth: usize) -> Result<(), ConditionFault> {
        let id = node.id;
        if depth > MAX_DEPTH {
            return Err(self.fault(ConditionFaultKind::Deep, id));
        }
        if let Some((path, test)) = self.path(&node.expr) {
            node.expr = self.refer(&path, test).map_err(|kind| self.fault(kind, id))?;
            return Ok(());
        }
        let depth = depth + 1;
        match &mut node.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) if self.local.contains(name) => Ok(()),
            Expr::Ident(name) => {
                let known = ROOTS.map(str::to_owned).to_vec();
                let kind = ConditionFaultKind::UnknownName { name: name.clone(), known };
                Err(self.fault(kind, id))
            }
            Expr::Select(select) => self.visit(&mut select.operand, depth),
            Expr::Call(call) => self.call(call, id, depth),
            Expr::List(list) => {
                if list.elements.len() > MAX_ITEMS {
                    return Err(self.fault(ConditionFaultKind::LongList, id));
                }
                list.elements.iter_mut().try_for_each(|item| self.visit(item, depth))
            }
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&mut entry.key, depth)?;
                    self.visit(&mut entry.value, depth)
                }
                EntryExpr::StructField(field) => self.visit(&mut field.value, depth),
            }),
            Expr::Comprehension(comprehension) => {
                if self.loops == MAX_LOOPS {
                    return Err(self.fault(ConditionFaultKind::Loops, id));
                }
                self.visit(&mut comprehension.iter_range, depth)?;
                self.visit(&mut comprehension.accu_init, depth)?;
                let outside = self.local.len();
                self.local.push(comprehension.iter_var.clone());
                self.local.extend(comprehension.iter_var2.clone());
                self.local.push(comprehension.accu_var.clone());
                self.loops += 1;
                self.visit(&mut comprehension.loop_cond, depth)?;
                self.visit(&mut comprehension.loop_step, depth)?;
                self.visit(&mut comprehension.result, depth)?;
                self.loops -= 1;
                self.local.truncate(outside);
                Ok(())
            }
            Expr::Struct(_) | Expr::Unspecified => {
                let kind = ConditionFaultKind::Syntax("a condition makes no messages".to_owned());
                Err(self.fault(kind, id))
            }
        }
    }

    fn call(&mut self, call: &mut CallExpr, id: u64, depth: usize) -> Result<(), ConditionFault> {
        let name = call.func_name.as_str();
        let operator = call.target.is_none() && is_operator(name);
        if !operator && !FUNCTIONS.contains(&name) {
            let known = FUNCTIONS.iter().filter(|name| !name.starts_with('@'));
            let mut known: Vec<String> = known.map(|name| (*name).to_owned()).collect();
            known.extend(["all", "exists", "exists_one", "filter", "has", "map"].map(String::from));
            let kind = ConditionFaultKind::UnknownFunction { name: name.to_owned(), known };
            return Err(self.fault(kind, id));
        }
        if name == "matches" {
            return self.matches(call, id, depth);
        }
        if let Some(target) = &mut call.target {
            self.visit(target, depth)?;
        }
        call.args.iter_mut().try_for_each(|argument| self.visit(argument, depth))
    }

    /// `text.matches("pattern")` and `matches(text, "pattern")`.
    fn matches(
        &mut self,
        call: &mut CallExpr,
        id: u64,
        depth: usize,
    ) -> Result<(), ConditionFault> {
        let target = call.target.take().map(|target| *target);
        let mut arguments = target.into_iter().chain(std::mem::take(&mut call.args));
        let (Some(mut text), Some(mut pattern), None) =
            (arguments.next(), arguments.next(), arguments.next())
        else {
            let known = vec!["matches".to_owned()];
            let kind = ConditionFaultKind::UnknownFunction { name: "matches".to_owned(), known };
            return Err(self.fault(kind, id));
        };
        let Expr::Literal(LiteralValue::String(literal)) = &pattern.expr else {
            return Err(self.fault(ConditionFaultKind::PatternNotLiteral, pattern.id));
        };
        let compiled = Pattern::compile(literal.inner()).map_err(|why| {
            let pattern_text = literal.inner().to_owned();
            let kind = ConditionFaultKind::PatternMalformed { pattern: pattern_text, why };
            self.fault(kind, pattern.id)
        })?;
        self.visit(&mut text, depth)?;
        pattern.expr = Expr::Ident(format!("{PATTERN}{}", self.patterns.len()));
        self.patterns.push(compiled);
        call.args = vec![text, pattern];
        Ok(())
    }

    /// The path that a node spells from one of the roots, and whether it asks only if that is
    /// there: `claims.a["b"]`, `has(headers.x)`.
    fn path(&self, expression: &Expr) -> Option<(Vec<String>, bool)> {
        let mut path = Vec::new();
        let mut node = expression;
        let test = matches!(node, Expr::Select(select) if select.test);
        loop {
            match node {
                Expr::Ident(root) => {
                    if self.local.contains(root) || !ROOTS.contains(&root.as_str()) {
                        return None;
                    }
                    path.push(root.clone());
                    path.reverse();
                    return Some((path, test));
                }
                Expr::Select(select) if !select.test || path.is_empty() => {
                    path.push(select.field.clone());
                    node = &select.operand.expr;
                }
                Expr::Call(call) if call.func_name == operators::INDEX => {
                    let [operand, key] = call.args.as_slice() else { return None };
                    let Expr::Literal(LiteralValue::String(key)) = &key.expr else { return None };
                    path.push(key.inner().to_owned());
                    node = &operand.expr;
                }
                _ => return None,
            }
        }
    }

    /// The reference of a path, as the number that stands for it.
    fn refer(&mut self, path: &[String], test: bool) -> Result<Expr, ConditionFaultKind> {
        let of = self.thing(path)?;
        let reference = Reference { of, test };
        let known = self.references.iter().position(|known| *known == reference);
        let number = known.unwrap_or_else(|| {
            self.references.push(reference);
            self.references.len() - 1
        });
        Ok(Expr::Ident(format!("{REFERENCE}{number}")))
    }

    fn thing(&self, path: &[String]) -> Result<Thing, ConditionFaultKind> {
        let Some((root, members)) = path.split_first() else {
            return Err(ConditionFaultKind::Syntax("it is empty".to_owned()));
        };
        let unknown = |known: Vec<String>| {
            let name = path.join(".");
            let known = known.into_iter().map(|member| format!("{root}.{member}")).collect();
            Err(ConditionFaultKind::UnknownName { name, known })
        };
        let names = |known: &[&str]| known.iter().map(|name| (*name).to_owned()).collect();
        match (root.as_str(), members) {
            ("claims", members) => Ok(Thing::Claim(members.to_vec())),
            ("headers", []) => Ok(Thing::Header(None)),
            ("headers", [name]) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Err(ConditionFaultKind::UpperCaseHeader(name.to_lowercase()))
            }
            ("headers", [name]) => Ok(Thing::Header(Some(name.clone()))),
            ("query", []) => Ok(Thing::Query(None)),
            ("query", [name]) => Ok(Thing::Query(Some(name.clone()))),
            ("now", []) => Ok(Thing::Now),
            ("client", [member]) if member == "ip" => Ok(Thing::ClientIp),
            ("path", [parameter]) if self.params.contains(&parameter.as_str()) => {
                Ok(Thing::Path(parameter.clone()))
            }
            ("principal", [member]) => match find(&PRINCIPAL, member) {
                Some(member) => Ok(Thing::Principal(member)),
                None => unknown(names(&PRINCIPAL.map(|(name, _)| name))),
            },
            ("request", [member]) => match find(&REQUEST, member) {
                Some(member) => Ok(Thing::Request(member)),
                None => unknown(names(&REQUEST.map(|(name, _)| name))),
            },
            ("client", []) => no_value(root, "ip"),
            ("path", []) => no_value(root, self.params.first().unwrap_or(&"NAME")),
            ("principal", []) => no_value(root, "subject"),
            ("request", []) => no_value(root, "method"),
            ("path", _) => unknown(names(self.params)),
            ("client", _) => unknown(names(&["ip"])),
            ("principal", _) => unknown(names(&PRINCIPAL.map(|(name, _)| name))),
            ("request", _) => unknown(names(&REQUEST.map(|(name, _)| name))),
            _ => unknown(vec![]),
        }
    }

    fn fault(&self, kind: ConditionFaultKind, id: u64) -> ConditionFault {
        ConditionFault { kind, span: span(self.source, self.positions, id) }
    }
}

fn no_value(root: &str, member: &str) -> Result<Thing, ConditionFaultKind> {
    Err(ConditionFaultKind::NoValue { name: root.to_owned(), member: member.to_owned() })
}

fn find<M: Copy>(members: &[(&str, M)], name: &str) -> Option<M> {
    members.iter().find(|(known, _)| *known == name).map(|(_, member)| *member)
}

fn is_operator(name: &str) -> bool {
    const OPERATORS: [&str; 17] = [
        operators::CONDITIONAL,
        operators::LOGICAL_AND,
        operators::LOGICAL_OR,
        operators::LOGICAL_NOT,
        operators::SUBSTRACT,
        operators::ADD,
        operators::MULTIPLY,
        operators::DIVIDE,
        operators::MODULO,
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::GREATER_EQUALS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::LESS,
        operators::NEGATE,
        operators::INDEX,
    ];
    OPERATORS.contains(&name)
}
