//! `server.listen[]`: what a listener does beside serving.

use super::{Input, faults::Faults, serving::HttpsPort};
use crate::config::{
    codes,
    document::Site,
    server::{Listener, RedirectHttps},
};

/// Where it sends clients that came in clear. `secured` is the first listener with `tls`.
pub(super) fn redirect(
    input: &Input<'_>,
    listener: &Listener,
    secured: Option<usize>,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<HttpsPort> {
    let at = at.key("redirect_https");
    let port = match listener.settings()?.redirect_https? {
        RedirectHttps::Word(false) => return None,
        RedirectHttps::Word(true) => secured.map(HttpsPort::Of),
        RedirectHttps::Port(port) => Some(HttpsPort::Fixed(port)),
    };
    if listener.tls().is_some() {
        faults
            .fault(codes::CONTRADICTION, at, "who comes to this listener comes by `https` already")
            .help("put `redirect_https` on the listener without `tls`");
        return None;
    }
    if port.is_none() && !input.is_faulty("server.listen") {
        faults
            .fault(codes::MISSING_KEY, at, "no listener has `tls` to which clients could be sent")
            .help("add one, or write the port at which clients find it: `redirect_https: 443`");
    }
    port
}

/// Whether trusted proxies announce whom a connection is from.
pub(super) fn announced(
    input: &Input<'_>,
    listener: &Listener,
    at: Site<'_>,
    faults: &mut Faults,
) -> bool {
    let announced = listener.settings().is_some_and(|settings| settings.proxy_protocol);
    let server = &input.config.server;
    if announced && server.trusted_proxies.is_empty() && !input.is_faulty("server.trusted_proxies")
    {
        faults
            .fault(
                codes::MISSING_KEY,
                at.key("proxy_protocol"),
                "only a trusted proxy may say whom a connection is from, and none is named",
            )
            .help("name the load balancers in `server.trusted_proxies`");
    }
    announced
}
