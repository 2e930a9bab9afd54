//! What one evaluation can cost at worst, told from the expression alone.
//!
//! Lists and maps of a request have at most 256 items, and all of a request or a claim set has
//! bounded bytes. From there on sizes and steps are added up, and multiplied in loops. An item of
//! a list is taken to have its share of the list's bytes: what is done to every item costs in
//! proportion to its bytes, so that the sum over all of them comes out right.

use cel::{
    IdedExpr,
    common::ast::{ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators},
};

use super::{
    ConditionFaultKind, MAX_ITEMS,
    names::{PrincipalMember, REFERENCE, Reference, Thing, number},
};

/// Steps of one evaluation; each takes about a tenth of a microsecond.
const MAX_STEPS: u64 = 8 << 20;
/// Bytes of one value.
const MAX_BYTES: u64 = 32 << 20;
/// Bytes that a request or a claim set brings.
const REQUEST_BYTES: u64 = 32 << 10;
/// Bytes of a scalar, or of the frame around a value.
const FRAME: u64 = 32;
/// Bytes of a list whose items take one step together: the least that an item takes is two.
const ITEM_BYTES: u64 = 10;
/// Bytes that are looked at or copied in one step.
const STEP_BYTES: u64 = 512;

/// Refuses an expression that could cost too much.
pub(super) fn check(
    expression: &IdedExpr,
    references: &[Reference],
) -> Result<(), ConditionFaultKind> {
    let mut account = Account { references, local: Vec::new() };
    let cost = account.measure(expression)?;
    if cost.steps > MAX_STEPS { Err(ConditionFaultKind::Costly) } else { Ok(()) }
}

/// The size that a value can have, and the steps to make it.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Items of the longest list or map in it.
    items: u64,
    bytes: u64,
    steps: u64,
}

impl Cost {
    const SCALAR: Self = Self { items: 0, bytes: FRAME, steps: 1 };

    fn of(items: u64, bytes: u64) -> Self {
        Self { items, bytes, steps: 1 + bytes / STEP_BYTES }
    }

    /// The steps to look at all of it once. However many items it could have, each takes bytes.
    fn reading(self) -> u64 {
        1 + self.items.min(self.bytes / ITEM_BYTES) + self.bytes / STEP_BYTES
    }
}

struct Account<'s> {
    references: &'s [Reference],
    local: Vec<(&'s str, Cost)>,
}

impl<'s> Account<'s> {
    fn measure(&mut self, node: &'s IdedExpr) -> Result<Cost, ConditionFaultKind> {
        let cost = match &node.expr {
            Expr::Literal(LiteralValue::String(text)) => {
                Cost { bytes: FRAME + text.inner().len() as u64, ..Cost::SCALAR }
            }
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Cost::SCALAR,
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                let operand = self.measure(&select.operand)?;
                Cost { steps: operand.steps.saturating_add(1), ..operand }
            }
            Expr::Call(call) => {
                let mut parts = Vec::with_capacity(call.args.len() + 1);
                for part in call.target.as_deref().into_iter().chain(&call.args) {
                    parts.push(self.measure(part)?);
                }
                called(&call.func_name, &parts)
            }
            Expr::List(list) => self.collected(list.elements.iter(), list.elements.len())?,
            Expr::Map(map) => {
                let entries = map.entries.iter().flat_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => [Some(&entry.key), Some(&entry.value)],
                    EntryExpr::StructField(field) => [Some(&field.value), None],
                });
                self.collected(entries.flatten(), map.entries.len())?
            }
            Expr::Comprehension(comprehension) => self.looped(comprehension)?,
        };
        if cost.bytes > MAX_BYTES { Err(ConditionFaultKind::Large) } else { Ok(cost) }
    }

    fn variable(&self, name: &str) -> Cost {
        if let Some((_, cost)) = self.local.iter().rev().find(|(known, _)| *known == name) {
            return Cost { steps: 1, ..*cost };
        }
        let Some(reference) = number(name, REFERENCE).and_then(|at| self.references.get(at)) else {
            return Cost::SCALAR;
        };
        let many = Cost::of(MAX_ITEMS as u64, REQUEST_BYTES);
        match &reference.of {
            _ if reference.test => Cost::SCALAR,
            Thing::Claim(_) | Thing::Header(None) | Thing::Query(None) => many,
            Thing::Principal(PrincipalMember::Permissions | PrincipalMember::Roles) => many,
            Thing::Header(_)
            | Thing::Path(_)
            | Thing::Principal(_)
            | Thing::Query(_)
            | Thing::Request(_) => Cost { items: 0, ..Cost::of(0, REQUEST_BYTES) },
            Thing::ClientIp | Thing::Now => Cost::SCALAR,
        }
    }

    fn collected(
        &mut self,
        parts: impl Iterator<Item = &'s IdedExpr>,
        length: usize,
    ) -> Result<Cost, ConditionFaultKind> {
        let mut whole = Cost { items: length as u64, bytes: FRAME, steps: 1 };
        for part in parts {
            let part = self.measure(part)?;
            whole.items = whole.items.max(part.items);
            whole.bytes = whole.bytes.saturating_add(part.bytes);
            whole.steps = whole.steps.saturating_add(part.steps).saturating_add(1);
        }
        Ok(whole)
    }

    fn looped(&mut self, each: &'s ComprehensionExpr) -> Result<Cost, ConditionFaultKind> {
        let range = self.measure(&each.iter_range)?;
        if range.items > MAX_ITEMS as u64 {
            return Err(ConditionFaultKind::LongList);
        }
        let rounds = range.items.max(1);
        let item = Cost { items: range.items, bytes: FRAME + range.bytes / rounds, steps: 1 };
        let outside = self.local.len();
        self.local.push((each.iter_var.as_str(), item));
        self.local.push((each.accu_var.as_str(), Cost::SCALAR));
        let condition = self.measure(&each.loop_cond)?;
        let step = self.measure(&each.loop_step)?;
        self.local.truncate(outside);

        let round = condition.steps.saturating_add(step.steps).saturating_add(4);
        let steps = rounds
            .saturating_mul(round)
            .saturating_add(range.steps)
            .saturating_add(range.reading());
        // What `map` and `filter` collect; `all`, `exists` and their like come to a scalar.
        let collects = matches!(&each.accu_init.expr, Expr::List(_));
        Ok(if collects {
            let bytes = rounds.saturating_mul(step.bytes).saturating_add(FRAME);
            Cost { items: rounds.max(step.items), bytes, steps }
        } else {
            Cost { steps, ..Cost::SCALAR }
        })
    }
}

/// What a call comes to, by what its parts come to.
fn called(name: &str, parts: &[Cost]) -> Cost {
    let sum = |of: fn(&Cost) -> u64| parts.iter().map(of).fold(0, u64::saturating_add);
    let steps = sum(|part| part.steps).saturating_add(1);
    let reading = sum(|part| part.reading());
    let widest = |of: fn(&Cost) -> u64| parts.iter().map(of).max().unwrap_or_default();
    match name {
        operators::CONDITIONAL => {
            Cost { items: widest(|part| part.items), bytes: widest(|part| part.bytes), steps }
        }
        operators::ADD => Cost {
            items: sum(|part| part.items),
            bytes: sum(|part| part.bytes),
            steps: steps.saturating_add(reading),
        },
        operators::INDEX => {
            Cost { items: widest(|part| part.items), bytes: widest(|part| part.bytes), steps }
        }
        operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT => {
            Cost { steps, ..Cost::SCALAR }
        }
        "string" => {
            Cost { items: 0, bytes: sum(|part| part.bytes), steps: steps.saturating_add(reading) }
        }
        _ => Cost { steps: steps.saturating_add(reading), ..Cost::SCALAR },
    }
}
