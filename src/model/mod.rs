//! Words everybody uses: names, principals, secrets, addresses, time. Knows no policy and no I/O.

mod claims;
mod json;
mod json_text;
mod names;
mod network;
mod principal;
mod secret;
mod store_location;
mod time;

pub use claims::Claims;
pub use json::{ObjectFault, parse_object};
pub use json_text::{JsonObject, push_address, push_digits};
pub use names::{IssuerName, Permission, PlanName, Role, RouteName, UpstreamName, folded_username};
pub use network::{Cidr, CidrFault, canonical, client_network, parse_hop};
pub use principal::{CredentialKind, Principal};
pub use secret::Secret;
pub use store_location::StoreLocation;
pub use time::Timestamp;
