//! What was expected of a request, held against what the judge made of it.

use http::HeaderMap;

use super::cases::Expectation;
use crate::{
    cli::inquiry::Findings,
    config::values::{Header, Named, Switch},
    policy::Verdict,
};

/// One thing that is otherwise than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// What: a key of `expect`, or a header.
    pub what: String,
    /// As the file says.
    pub expected: String,
    /// As it was.
    pub found: String,
}

/// What is otherwise than expected; nothing if the case passes.
pub(super) fn compare(expected: &Expectation, found: &Findings) -> Vec<Difference> {
    let decision = &found.decision;
    let answer = &found.answer;
    let mut compared = Compared(Vec::new());
    let allowed = !matches!(decision.verdict, Verdict::Deny(_));
    compared.plain("allowed", expected.allowed, Some(allowed));
    compared.status(expected.status, answer.status);
    compared.text("code", expected.code.as_deref(), answer.code);
    compared.text("detail", expected.detail.as_deref(), answer.detail.as_deref());
    compared.text("reason", expected.reason.as_deref(), answer.reason);
    let shadow = decision.shadow.as_ref().map(|denial| denial.problem().code);
    compared.switch(
        "shadow",
        expected.shadow.as_ref().map(|one| one.on().map(String::as_str)),
        shadow,
    );
    let route = decision.route.as_ref().map(|route| route.name.as_str());
    compared.switch(
        "route",
        expected.route.as_ref().map(|one| one.on().map(|name| name.as_str())),
        route,
    );
    let sent = found.sent.as_ref();
    let upstream = expected.upstream.as_ref().map(|name| name.as_str());
    compared.text("upstream", upstream, sent.map(|sent| sent.upstream.as_str()));
    compared.text("path", expected.path.as_deref(), sent.map(|sent| sent.target.as_str()));
    let subject = decision.principal.as_ref().map(|principal| &*principal.subject);
    compared.switch(
        "subject",
        expected.subject.as_ref().map(|one| one.on().map(|name| name.as_str())),
        subject,
    );
    compared.headers("headers", &expected.headers, sent.map(|sent| &sent.headers));
    compared.headers("response_headers", &expected.response_headers, Some(&answer.headers));
    compared.0
}

struct Compared(Vec<Difference>);

impl Compared {
    fn plain<T: PartialEq + ToString>(
        &mut self,
        what: &str,
        expected: Option<T>,
        found: Option<T>,
    ) {
        if expected.is_some() && expected != found {
            self.differs(
                what,
                expected.map(|one| one.to_string()),
                found.map(|one| one.to_string()),
            );
        }
    }

    /// No upstream runs, so that a request which goes to one, or to an endpoint of the gateway's
    /// own, has no status yet: what is no refusal says that it gets there.
    fn status(&mut self, expected: Option<u16>, found: Option<u16>) {
        match (expected, found) {
            (Some(expected @ 400..), None) => self.differs(
                "status",
                Some(expected.to_string()),
                Some("none, since it is let through and no upstream runs".to_owned()),
            ),
            (_, None) => {}
            (expected, found) => self.plain("status", expected, found),
        }
    }

    fn text(&mut self, what: &str, expected: Option<&str>, found: Option<&str>) {
        self.plain(what, expected, found);
    }

    fn switch(&mut self, what: &str, expected: Option<Option<&str>>, found: Option<&str>) {
        let Some(expected) = expected else { return };
        if expected != found {
            self.differs(what, expected.map(str::to_owned), found.map(str::to_owned));
        }
    }

    fn headers(
        &mut self,
        what: &str,
        expected: &Named<Header, Switch<String>>,
        found: Option<&HeaderMap>,
    ) {
        for (name, value) in expected.iter() {
            let lines = found.map(|headers| headers.get_all(&name.0)).into_iter().flatten();
            let lines: Vec<_> =
                lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect();
            let found = (!lines.is_empty()).then(|| lines.join(", "));
            let what = format!("{what} {}", name.0);
            self.switch(&what, Some(value.on().map(String::as_str)), found.as_deref());
        }
    }

    fn differs(&mut self, what: &str, expected: Option<String>, found: Option<String>) {
        let shown = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        self.0.push(Difference {
            what: what.to_owned(),
            expected: shown(expected),
            found: shown(found),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(expected: u16, found: Option<u16>) -> bool {
        let mut compared = Compared(Vec::new());
        compared.status(Some(expected), found);
        !compared.0.is_empty()
    }

    #[test]
    fn a_request_that_is_let_through_has_the_status_of_no_refusal() {
        assert!(!differs(200, None) && !differs(201, None) && !differs(302, None));
        assert!(differs(400, None) && differs(403, None) && differs(502, None));
    }

    #[test]
    fn an_answer_of_the_gateway_has_its_own_status() {
        assert!(!differs(403, Some(403)) && !differs(200, Some(200)));
        assert!(differs(200, Some(403)) && differs(403, Some(401)) && differs(200, Some(204)));
    }
}
