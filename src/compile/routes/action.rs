//! What becomes of an admitted request: `upstream`, `respond` or `redirect`, and `request`.

use http::{HeaderValue, StatusCode, header};

use super::streams;
use crate::{
    compile::{
        Input,
        faults::Faults,
        headers,
        upstreams::{self, Upstreams},
    },
    config::{
        codes,
        document::Site,
        routes::{Redirect, Respond, Route as Written},
        streams::Streams,
        upstreams::Timeouts,
        values::{Template as WrittenTemplate, UpstreamRef},
    },
    policy::{
        decision::Reply,
        forward::{
            Template,
            path::{PathPlan, PathPrefix, PathWriter},
            template::{Name, Part},
        },
        route::{Distinguishes, PathPattern, Segment},
        rules::{Action, Credentials, Forwarding, HeaderTerms},
    },
};

/// An action, and what the upstream that it leads to keeps apart.
pub(super) struct Leads {
    /// The action.
    pub action: Action,
    /// What its upstream keeps apart.
    pub distinguishes: Distinguishes,
}

/// The keys that say where a route leads.
const ACTIONS: [&str; 3] = ["upstream", "respond", "redirect"];

/// What a route's action is read against.
pub(super) struct Ground<'a> {
    /// The file.
    pub input: &'a Input<'a>,
    /// The templates of its paths.
    pub patterns: &'a [PathPattern],
    /// The parameters that each of them catches.
    pub params: &'a [String],
    /// Where the route stands.
    pub at: Site<'a>,
}

impl Ground<'_> {
    /// Reads what becomes of a request.
    pub fn action(
        &self,
        route: &Written,
        upstreams: &mut Upstreams<'_>,
        faults: &mut Faults,
    ) -> Option<Leads> {
        let own = |action| Leads { action, distinguishes: Distinguishes::default() };
        match (&route.upstream, &route.respond, &route.redirect) {
            (Some(upstream), None, None) => self.forward(route, upstream, upstreams, faults),
            (None, Some(respond), None) => {
                self.nothing_goes_upstream(route, "respond", faults);
                self.respond(respond, faults).map(Action::Respond).map(own)
            }
            (None, None, Some(redirect)) => {
                self.nothing_goes_upstream(route, "redirect", faults);
                self.redirect(redirect, faults).map(own)
            }
            (None, None, None) if self.input.lacks_any(self.at, &ACTIONS) => {
                self.edits(route, faults);
                None
            }
            (None, None, None) => {
                faults
                    .fault(codes::MISSING_KEY, self.at, "the route leads nowhere")
                    .help("add one of `upstream`, `respond` and `redirect`");
                None
            }
            (_, respond, _) => {
                let key = if respond.is_some() { "respond" } else { "redirect" };
                faults
                    .fault(codes::CONTRADICTION, self.at.key(key), "the route leads to two places")
                    .help("keep one of `upstream`, `respond` and `redirect`");
                None
            }
        }
    }

    fn forward(
        &self,
        route: &Written,
        upstream: &UpstreamRef,
        upstreams: &mut Upstreams<'_>,
        faults: &mut Faults,
    ) -> Option<Leads> {
        let (path, headers) = self.edits(route, faults);
        let found = upstreams.find(upstream, self.at.key("upstream"), faults);
        let (found, config) = (found?, self.input.config);
        let keep = route.forward_credentials.unwrap_or(config.identity.forward_credentials);
        let limit = route.request.body_limit.unwrap_or(config.server.limits.body);
        let order = [&route.timeouts, &config.defaults.timeouts, &found.timeouts];
        let forwarding = Forwarding {
            upstream: found.upstream.clone(),
            path: path?,
            headers: headers?,
            credentials: if keep { Credentials::Keep } else { Credentials::Strip },
            body_limit: limit.0,
            call_limit: route.request.body_limit.map(|limit| limit.0),
            timeouts: upstreams::timeouts(order),
            streams: streams::terms(&route.streams, &config.defaults.streams),
        };
        let distinguishes = found.upstream.distinguishes;
        Some(Leads { action: Action::Forward(Box::new(forwarding)), distinguishes })
    }

    /// What happens to the request on its way, wherever that leads.
    fn edits(
        &self,
        route: &Written,
        faults: &mut Faults,
    ) -> (Option<PathPlan>, Option<HeaderTerms>) {
        let request = self.at.key("request");
        let path = self.path(route, request, faults);
        let place = request.key("headers");
        let headers = headers::edits(&route.request.headers, self.params, place, faults);
        upstreams::judge_timeouts(&route.timeouts, self.at.key("timeouts"), faults);
        streams::judge(&route.streams, self.at.key("streams"), faults);
        (path, headers)
    }

    fn path(&self, route: &Written, at: Site<'_>, faults: &mut Faults) -> Option<PathPlan> {
        let edits = &route.request;
        if edits.strip_prefix.is_some() && edits.rewrite.is_some() {
            faults
                .fault(
                    codes::CONTRADICTION,
                    at.key("strip_prefix"),
                    "`rewrite` makes the path anew, so that there is no prefix to strip",
                )
                .help("keep one of them");
            return None;
        }
        let strip_prefix = match &edits.strip_prefix {
            None => None,
            Some(prefix) => Some(self.prefix(&prefix.0, at.key("strip_prefix"), faults)?),
        };
        let rewrite = match &edits.rewrite {
            None => None,
            Some(rewrite) => Some(self.rewrite(rewrite, at.key("rewrite"), faults)?),
        };
        Some(PathPlan { strip_prefix, rewrite })
    }

    fn prefix(&self, text: &str, at: Site<'_>, faults: &mut Faults) -> Option<PathPrefix> {
        let prefix = match PathPrefix::parse(text) {
            Ok(prefix) => prefix,
            Err(fault) => {
                faults
                    .fault(codes::INVALID_PREFIX, at, fault.to_string())
                    .help("write whole segments such as `/api/v1`");
                return None;
            }
        };
        let wanted = PathPattern::parse(text).ok()?;
        let begins = |pattern: &&PathPattern| {
            let literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
            let count = wanted.segments().len();
            pattern.segments().get(..count) == Some(wanted.segments())
                && wanted.segments().iter().all(literal)
        };
        if let Some(other) = self.patterns.iter().find(|pattern| !begins(pattern)) {
            faults
                .fault(
                    codes::INVALID_PREFIX,
                    at,
                    format!("the path `{other}` does not begin with `{text}`"),
                )
                .help("a prefix stands at the beginning of every path of the route");
            return None;
        }
        Some(prefix)
    }

    fn rewrite(
        &self,
        written: &WrittenTemplate,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Option<Template> {
        let template = headers::template(written, self.params, at, faults)?;
        if let Err(why) = self.try_rewrite(&template) {
            faults
                .fault(codes::INVALID_REWRITE, at, format!("no path could be made of it: {why}"))
                .help("write a path such as `/v2/{path.rest}`");
            return None;
        }
        Some(template)
    }

    /// Makes a path with a harmless value for each name: what is refused then is always refused.
    fn try_rewrite(&self, template: &Template) -> Result<(), String> {
        let mut path = PathWriter::default();
        for part in template.parts() {
            match part {
                Part::Literal(text) if text.contains('#') => {
                    return Err("what follows `#` is never sent".to_owned());
                }
                Part::Literal(text) => path.text(text),
                Part::Name(Name::Path(name)) if self.is_remainder(name) => path.remainder("x"),
                Part::Name(_) => path.value("x").map_err(|fault| fault.to_string())?,
            }
        }
        path.finish().map(drop).map_err(|fault| fault.to_string())
    }

    fn is_remainder(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.remainder() == Some(name))
    }

    fn respond(&self, written: &Respond, faults: &mut Faults) -> Option<Reply> {
        let at = self.at.key("respond");
        let status = StatusCode::from_u16(written.status.map_or(200, |status| status.0)).ok()?;
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if bodiless && !written.body.is_empty() {
            faults
                .fault(
                    codes::CONTRADICTION,
                    at.key("body"),
                    format!("an answer with {status} has no body"),
                )
                .help("remove `body`, or answer with 200");
        }
        let mut headers = Vec::new();
        let place = at.key("headers");
        for (header, value) in written.headers.iter() {
            let name = headers::name(header, place.key(&header.0), faults);
            headers.extend(name.zip(HeaderValue::from_str(&value.0).ok()));
        }
        if !written.body.is_empty() && headers.iter().all(|(name, _)| *name != header::CONTENT_TYPE)
        {
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            headers.push((header::CONTENT_TYPE, text));
        }
        Some(Reply { status, headers, body: written.body.clone().into() })
    }

    fn redirect(&self, written: &Redirect, faults: &mut Faults) -> Option<Action> {
        let at = self.at.key("redirect").key("to");
        let to = headers::template(&written.to, self.params, at, faults)?;
        let text = written.to.as_str();
        let local = text.starts_with('/') && !text.starts_with("//");
        // What comes before the first name must say the host, or a client could.
        let absolute = ["https://", "http://"].iter().any(|scheme| {
            let rest = text.strip_prefix(scheme).unwrap_or_default();
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            !host.is_empty() && !host.contains(['{', '@'])
        });
        if !local && !absolute {
            faults
                .fault(
                    codes::INVALID_REDIRECT,
                    at,
                    "a redirect leads to a path, or to a URL whose host is written out",
                )
                .help("write `/path` or `https://example.com/path`");
            return None;
        }
        let status = StatusCode::from_u16(written.status.0).ok()?;
        Some(Action::Redirect { to, status })
    }

    fn nothing_goes_upstream(&self, route: &Written, action: &str, faults: &mut Faults) {
        let request = &route.request;
        let edits = [
            ("strip_prefix", request.strip_prefix.is_some()),
            ("rewrite", request.rewrite.is_some()),
            ("body_limit", request.body_limit.is_some()),
        ];
        let place = self.at.key("request");
        let edited = edits.into_iter().filter(|(_, there)| *there).map(|(key, _)| place.key(key));
        let timeouts = (route.timeouts != Timeouts::default()).then(|| self.at.key("timeouts"));
        let streams = (route.streams != Streams::default()).then(|| self.at.key("streams"));
        let kept = route.forward_credentials.map(|_| self.at.key("forward_credentials"));
        for at in edited.chain(timeouts).chain(streams).chain(kept) {
            faults
                .fault(
                    codes::CONTRADICTION,
                    at,
                    format!("nothing goes upstream on a route with `{action}`"),
                )
                .help("remove it");
        }
    }
}
