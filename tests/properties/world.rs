//! Random files about a few people and a few routes, random requests for them, and what a reader who knows only the guides
//! expects of the two.

use std::collections::BTreeSet;

use http::Method;
use proptest::{prelude::*, sample::select};

use super::gate::Ask;

/// Roles, each with what it includes and permits.
const ROLES: [(&str, &[&str], &[&str]); 3] =
    [("a", &[], &["read"]), ("b", &["a"], &["write"]), ("c", &[], &["delete"])];

pub const PERMISSIONS: [&str; 4] = ["read", "write", "delete", "extra"];

/// The network of peers that are inside.
const INSIDE: &str = "10.0.0.0/8";

pub type Words = BTreeSet<&'static str>;

/// Somebody with an API key.
#[derive(Clone, Debug)]
pub struct Person {
    pub roles: Words,
    pub permissions: Words,
}

/// What `auth` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    Nobody,
    Optional,
    Required,
}

/// An expression, with what it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    IsGet,
    Flagged,
    InRole,
    NotInRole,
    OwnPath,
}

impl When {
    const fn text(self) -> &'static str {
        match self {
            Self::IsGet => r#"request.method == "GET""#,
            Self::Flagged => r#"query.flag == "1""#,
            Self::InRole => r#""a" in principal.roles"#,
            Self::NotInRole => r#"!("c" in principal.roles)"#,
            Self::OwnPath => "path.who == principal.subject",
        }
    }

    const fn needs_principal(self) -> bool {
        matches!(self, Self::InRole | Self::NotInRole | Self::OwnPath)
    }
}

/// A block of `allow` or `deny`; one part at least is there.
#[derive(Clone, Debug, Default)]
pub struct Block {
    pub roles: Words,
    pub permissions: Words,
    pub inside: bool,
    pub owner: bool,
    pub when: Option<When>,
}

/// Whether a block holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    No,
    Unknown,
    Yes,
}

#[derive(Clone, Debug)]
pub struct Route {
    pub auth: Auth,
    pub allow: Vec<Block>,
    pub deny: Vec<Block>,
    pub shadow: bool,
}

/// A file.
#[derive(Clone, Debug)]
pub struct World {
    pub people: Vec<Person>,
    pub routes: Vec<Route>,
}

/// Which key a request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Nothing,
    Key(usize),
    Twice(usize),
    Wrong,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub route: usize,
    pub who: usize,
    pub shown: Shown,
    pub get: bool,
    pub flag: Option<bool>,
    pub inside: bool,
}

impl Block {
    fn is_empty(&self) -> bool {
        let Self { roles, permissions, inside, owner, when } = self;
        roles.is_empty() && permissions.is_empty() && !inside && !owner && when.is_none()
    }

    fn needs_principal(&self) -> bool {
        let Self { roles, permissions, owner, when, .. } = self;
        !roles.is_empty()
            || !permissions.is_empty()
            || *owner
            || when.is_some_and(When::needs_principal)
    }

    /// Whether more roles or permissions could make it stop holding, or hold where it denies.
    pub fn reads_rights(&self) -> bool {
        let of_roles = matches!(self.when, Some(When::InRole | When::NotInRole));
        !self.roles.is_empty() || !self.permissions.is_empty() || of_roles
    }

    fn yaml(&self) -> String {
        let list = |words: &Words| words.iter().copied().collect::<Vec<_>>().join(", ");
        let mut parts = Vec::new();
        if !self.roles.is_empty() {
            parts.push(format!("roles: [{}]", list(&self.roles)));
        }
        if !self.permissions.is_empty() {
            parts.push(format!("permissions: [{}]", list(&self.permissions)));
        }
        if self.inside {
            parts.push(format!("networks: [{INSIDE}]"));
        }
        if self.owner {
            parts.push("owner: who".to_owned());
        }
        if let Some(when) = self.when {
            parts.push(format!("when: '{}'", when.text()));
        }
        format!("{{ {} }}", parts.join(", "))
    }

    fn holds(&self, person: Option<(usize, &Person)>, request: &Request) -> Holds {
        let yes_or_no = |holds: bool| if holds { Holds::Yes } else { Holds::No };
        if person.is_none() && self.needs_principal() {
            return Holds::No;
        }
        let mut parts = vec![yes_or_no(!self.inside || request.inside)];
        if let Some((index, person)) = person {
            let (roles, permissions) = person.rights();
            let named = self.roles.is_empty() || !self.roles.is_disjoint(&roles);
            parts.push(yes_or_no(named));
            parts.push(yes_or_no(self.permissions.is_subset(&permissions)));
            parts.push(yes_or_no(!self.owner || request.who == index));
            match self.when {
                Some(When::InRole) => parts.push(yes_or_no(roles.contains("a"))),
                Some(When::NotInRole) => parts.push(yes_or_no(!roles.contains("c"))),
                Some(When::OwnPath) => parts.push(yes_or_no(request.who == index)),
                Some(When::Flagged | When::IsGet) | None => {}
            }
        }
        match self.when {
            Some(When::IsGet) => parts.push(yes_or_no(request.get)),
            Some(When::Flagged) => parts.push(request.flag.map_or(Holds::Unknown, yes_or_no)),
            Some(When::InRole | When::NotInRole | When::OwnPath) | None => {}
        }
        if parts.contains(&Holds::No) {
            Holds::No
        } else if parts.contains(&Holds::Unknown) {
            Holds::Unknown
        } else {
            Holds::Yes
        }
    }
}

impl Person {
    /// Roles and permissions in effect.
    fn rights(&self) -> (Words, Words) {
        let mut roles = self.roles.clone();
        let mut permissions = self.permissions.clone();
        for (role, includes, _) in ROLES.iter().rev() {
            if roles.contains(role) {
                roles.extend(*includes);
            }
        }
        for (role, _, permits) in ROLES {
            if roles.contains(role) {
                permissions.extend(permits);
            }
        }
        (roles, permissions)
    }
}

impl World {
    pub fn yaml(&self) -> String {
        let mut text = "upstreams: { app: { builtin: echo } }\nroles:\n".to_owned();
        for (role, includes, permissions) in ROLES {
            let (includes, permissions) = (includes.join(", "), permissions.join(", "));
            text +=
                &format!("  {role}: {{ includes: [{includes}], permissions: [{permissions}] }}\n");
        }
        text += "authentication:\n  api_keys:\n    header: X-API-Key\n    keys:\n";
        for (index, person) in self.people.iter().enumerate() {
            let list = |words: &Words| words.iter().copied().collect::<Vec<_>>().join(", ");
            let (roles, permissions) = (list(&person.roles), list(&person.permissions));
            text += &format!(
                "      - {{ id: k{index}, sha256: {}, subject: p{index}, roles: [{roles}], permissions: [{permissions}] }}\n",
                sha256(&key(index)),
            );
        }
        text += "routes:\n";
        for (index, route) in self.routes.iter().enumerate() {
            let auth = match route.auth {
                Auth::Nobody => "none",
                Auth::Optional => "{ optional: [api_key] }",
                Auth::Required => "[api_key]",
            };
            text += &format!(
                "  - name: r{index}\n    match: {{ path: '/r{index}/{{who}}' }}\n    upstream: app\n    auth: {auth}\n"
            );
            for (name, blocks) in [("allow", &route.allow), ("deny", &route.deny)] {
                if !blocks.is_empty() {
                    let blocks: Vec<_> = blocks.iter().map(Block::yaml).collect();
                    text += &format!("    {name}: [{}]\n", blocks.join(", "));
                }
            }
            if route.shadow {
                text += "    mode: shadow\n";
            }
        }
        text
    }

    /// Whether the request is to reach the app, and as whom.
    pub fn expects(&self, request: &Request) -> Result<Option<usize>, ()> {
        let route = &self.routes[request.route];
        let person = match (route.auth, request.shown) {
            (Auth::Nobody, _) | (Auth::Optional, Shown::Nothing) => None,
            (Auth::Required, Shown::Nothing) | (_, Shown::Twice(_) | Shown::Wrong) => {
                return Err(());
            }
            (Auth::Optional | Auth::Required, Shown::Key(index)) => {
                Some((index, &self.people[index]))
            }
        };
        let denied = route.deny.iter().any(|block| block.holds(person, request) != Holds::No);
        let allowed = route.allow.is_empty()
            || route.allow.iter().any(|block| block.holds(person, request) == Holds::Yes);
        if route.shadow || allowed && !denied {
            Ok(person.map(|(index, _)| index))
        } else {
            Err(())
        }
    }
}

impl Request {
    pub fn ask(&self) -> Ask {
        let mut ask = Ask::get(format!("/r{}/p{}", self.route, self.who));
        if !self.get {
            ask.method = Method::POST;
        }
        ask.query = self.flag.map(|flag| format!("flag={}", u8::from(flag)));
        ask.peer = if self.inside { [10, 1, 2, 3].into() } else { [192, 0, 2, 1].into() };
        match self.shown {
            Shown::Nothing => ask,
            Shown::Key(index) => ask.header("x-api-key", &key(index)),
            Shown::Twice(index) => {
                ask.header("x-api-key", &key(index)).header("x-api-key", &key(index))
            }
            Shown::Wrong => ask.header("x-api-key", "nobody-has-this-key"),
        }
    }
}

/// The key of a person.
pub fn key(index: usize) -> String {
    format!("key-of-person-{index}-0123456789abcdef")
}

pub fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn words(from: &'static [&'static str], most: usize) -> impl Strategy<Value = Words> {
    prop::collection::btree_set(select(from), 0..=most)
}

fn person() -> impl Strategy<Value = Person> {
    (words(&["a", "b", "c"], 2), words(&PERMISSIONS, 1))
        .prop_map(|(roles, permissions)| Person { roles, permissions })
}

fn block(auth: Auth) -> impl Strategy<Value = Block> {
    let some = |words: Words, there: bool| if there { words } else { Words::new() };
    let when =
        select(vec![When::IsGet, When::Flagged, When::InRole, When::NotInRole, When::OwnPath]);
    let parts = (words(&["a", "b", "c"], 2), words(&PERMISSIONS, 2), prop::bits::u8::masked(0x1f));
    (parts, when).prop_map(move |((roles, permissions, there), when)| {
        let (roles, permissions) = (some(roles, there & 1 != 0), some(permissions, there & 2 != 0));
        let when = (there & 16 != 0).then_some(when);
        let mut block =
            Block { roles, permissions, inside: there & 12 == 4, owner: there & 12 == 8, when };
        if auth == Auth::Nobody && block.needs_principal() {
            block = Block { inside: block.inside, ..Block::default() };
        }
        if block.is_empty() {
            block.when = Some(When::IsGet);
        }
        block
    })
}

fn route() -> impl Strategy<Value = Route> {
    let auth = select(vec![Auth::Nobody, Auth::Optional, Auth::Required, Auth::Required]);
    auth.prop_flat_map(|auth| {
        let allow = prop::collection::vec(block(auth), 0..3);
        let deny = prop_oneof![
            3 => Just(Vec::new()),
            1 => prop::collection::vec(block(auth), 1..3),
        ];
        (allow, deny).prop_map(move |(allow, deny)| Route { auth, allow, deny, shadow: false })
    })
}

pub fn world() -> impl Strategy<Value = World> {
    (prop::collection::vec(person(), 1..4), prop::collection::vec(route(), 1..4))
        .prop_map(|(people, routes)| World { people, routes })
}

fn request(people: usize, routes: usize) -> impl Strategy<Value = Request> {
    let shown = prop_oneof![
        6 => (0..people).prop_map(Shown::Key),
        1 => (0..people).prop_map(Shown::Twice),
        1 => Just(Shown::Nothing),
        1 => Just(Shown::Wrong),
    ];
    let flag = select(vec![None, Some(false), Some(true)]);
    (0..routes, 0..people, shown, any::<bool>(), flag, any::<bool>()).prop_map(
        |(route, who, shown, get, flag, inside)| Request { route, who, shown, get, flag, inside },
    )
}

/// A file, and requests for it.
pub fn asked() -> impl Strategy<Value = (World, Vec<Request>)> {
    world().prop_flat_map(|world| {
        let (people, routes) = (world.people.len(), world.routes.len());
        (Just(world), prop::collection::vec(request(people, routes), 24))
    })
}
