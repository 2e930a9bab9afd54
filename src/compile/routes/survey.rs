//! How routes lie to one another: overlaps are faults, what is seldom meant is warned of.

use std::sync::Arc;

use crate::{
    compile::{Input, faults::Faults},
    config::{codes, document::Site},
    model::RouteName,
    policy::{
        authz::Block,
        route::{Entry, Overlap, OverlapKind, RouteTable},
        rules::{Access, Action, Mode, Route},
    },
};

/// Tells of routes that could both win for one request.
pub(super) fn tell_overlaps(
    overlaps: &[Overlap],
    names: &[RouteName],
    sites: &[Site<'_>],
    faults: &mut Faults,
) {
    for overlap in overlaps {
        let name = |index: usize| names.get(index).map_or("", RouteName::as_str);
        let (first, second) = (sites.get(overlap.first), sites.get(overlap.second));
        // Paths of the gateway's own have a fault of their own.
        let (Some(first), Some(second)) = (first, second) else { continue };
        let message = format!(
            "the routes `{}` and `{}` could both win for one request: {overlap}",
            name(overlap.first),
            name(overlap.second),
        );
        let help = match overlap.kind {
            OverlapKind::CaseOnly => {
                "an app that ignores letter case would take one for the other: rename one, or add `distinguishes: [case]` to both upstreams"
            }
            OverlapKind::SamePattern { .. } => "give each its own methods, hosts or path",
        };
        faults
            .fault(codes::ROUTE_OVERLAP, path(*second), message)
            .beside(path(*first), "the other route")
            .help(help);
    }
}

fn path(site: Site<'_>) -> Site<'_> {
    site.key("match").key("path")
}

/// Warns of what is legal and seldom meant.
pub(super) fn warn(
    input: &Input<'_>,
    table: &RouteTable,
    routes: &[Option<Arc<Route>>],
    entries: &[Entry],
    sites: &[Site<'_>],
    faults: &mut Faults,
) {
    for ((route, entry), at) in routes.iter().zip(entries).zip(sites) {
        let Some(route) = route else { continue };
        if route.mode == Mode::Shadow {
            let message = format!("the route `{}` lets through what its rules refuse", route.name);
            faults
                .warning(codes::SHADOW_ROUTE, at.key("mode"), message)
                .help("once its log shows no surprises, write `mode: enforce`");
        }
        // What was left out may be the very rule.
        if !input.loaded.faulty.lacks_within(*at) {
            warn_of_owner(route, entry, *at, faults);
        }
    }
    for index in table.unreachable() {
        if let (Some(route), Some(at)) = (found(routes, index), sites.get(index)) {
            let message = format!("no request can reach the route `{}`", route.name);
            faults.warning(codes::UNREACHABLE_ROUTE, at.key("match"), message).help(
                "a `;` in a path ends the segment for most apps: add `distinguishes: [parameters]` to the upstream if this one keeps it",
            );
        }
    }
    warn_of_public(table, routes, entries, sites, faults);
    for shadow in table.shadows() {
        let narrow = found(routes, shadow.narrow);
        let (Some(narrow), Some(wide)) = (narrow, found(routes, shadow.wide)) else { continue };
        let Some(at) = sites.get(shadow.narrow) else { continue };
        let message = format!(
            "`{}` answers 405 to the methods that no route names for it, although `{}` takes every method",
            shadow.path, wide.name,
        );
        let mut note = faults.warning(codes::NARROW_METHODS, at.key("match"), message);
        if let Some(wide) = sites.get(shadow.wide) {
            note = note.beside(wide.key("match"), "takes every method");
        }
        note.help(format!(
            "the most specific path decides alone: add a route for the other methods of `{}`, or leave out `methods` on `{}`",
            shadow.path, narrow.name,
        ));
    }
}

fn found(routes: &[Option<Arc<Route>>], index: usize) -> Option<&Arc<Route>> {
    routes.get(index)?.as_ref()
}

fn warn_of_public(
    table: &RouteTable,
    routes: &[Option<Arc<Route>>],
    entries: &[Entry],
    sites: &[Site<'_>],
    faults: &mut Faults,
) {
    let is_public = |index: usize| {
        found(routes, index).is_some_and(|route| {
            matches!(route.access, Access::Anyone) && matches!(route.action, Action::Forward(_))
        })
    };
    // What protects everything has no prefix: public routes beside it are the usual thing.
    let is_protected = |index: usize| {
        let required = |route: &Arc<Route>| matches!(route.access, Access::Required(_));
        let prefixed = |entry: &Entry| entry.paths.iter().any(|path| !path.segments().is_empty());
        found(routes, index).is_some_and(required) && entries.get(index).is_some_and(prefixed)
    };
    for pair in table.covered(|inner, outer| is_public(inner) && is_protected(outer)) {
        let inner = found(routes, pair.inner);
        let (Some(inner), Some(outer)) = (inner, found(routes, pair.outer)) else { continue };
        let (Some(at), Some(other)) = (sites.get(pair.inner), sites.get(pair.outer)) else {
            continue;
        };
        let message =
            format!("`{}` is public, beneath `{}`, which is protected", inner.name, outer.name);
        faults
            .warning(codes::PUBLIC_BENEATH_PROTECTED, at.key("match").key("path"), message)
            .beside(other.key("match").key("path"), "asks for a credential")
            .help("if everybody may have it, move it to a path of its own");
    }
}

/// Warns of a parameter that seems to say whose a thing is, where whoever has a credential may
/// name anybody's.
fn warn_of_owner(route: &Route, entry: &Entry, at: Site<'_>, faults: &mut Faults) {
    let Access::Required(_) = route.access else { return };
    let names = entry.paths.iter().enumerate().flat_map(|(index, path)| {
        path.parameters().filter(|name| looks_like_an_owner(name)).map(move |name| (index, name))
    });
    let Some((index, name)) = names.into_iter().next() else { return };
    let asks = |block: &Block| {
        let when = block.when.as_ref().is_some_and(|when| when.params().any(|used| used == name));
        block.owner.is_some() || when || block.roles.is_some()
    };
    let denies = route.deny.iter().any(|block| {
        block.when.as_ref().is_some_and(|when| when.params().any(|used| used == name))
    });
    if denies || (!route.allow.is_empty() && route.allow.iter().all(asks)) {
        return;
    }
    faults
        .warning(
            codes::NO_OWNERSHIP,
            at.key("match").key("path").item(index),
            format!("`{name}` looks like an owner, and whoever is let in may name anybody's"),
        )
        .help(format!("add `allow: {{ owner: {name} }}`, or a role that may see everybody's"));
}

fn looks_like_an_owner(name: &str) -> bool {
    const WHOM: [&str; 12] = [
        "account",
        "accountid",
        "customer",
        "customerid",
        "member",
        "memberid",
        "owner",
        "ownerid",
        "user",
        "userid",
        "username",
        "subject",
    ];
    let plain = name.to_ascii_lowercase().replace('_', "");
    WHOM.contains(&plain.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_known_by_its_name() {
        for name in ["user_id", "userId", "username", "owner", "account_id"] {
            assert!(looks_like_an_owner(name), "{name}");
        }
        for name in ["id", "item_id", "users", "rest"] {
            assert!(!looks_like_an_owner(name), "{name}");
        }
    }
}
