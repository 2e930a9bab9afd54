//! Tests of what is believed about a client, and by whose word.

use http::HeaderValue;

use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn server(proxies: &[&str]) -> ServerTerms {
    ServerTerms {
        trusted_proxies: proxies.iter().map(|net| net.parse().unwrap()).collect(),
        limits: RequestLimits::default(),
        connections: Default::default(),
    }
}

fn received(headers: &HeaderMap) -> Received<'_> {
    Received {
        method: &Method::GET,
        version: Version::HTTP_11,
        path: "/",
        query: None,
        host: "api.example.com",
        headers,
        peer: "10.0.0.1".parse().unwrap(),
        scheme: Scheme::Http,
        port: 8080,
        certificate: None,
    }
}

fn client_of(lines: &[&str], proxies: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| ("X-Forwarded-For", *line)).collect();
    let headers = headers(&lines);
    RequestFacts::read(&received(&headers), &server(proxies), "r").client.to_string()
}

#[test]
fn nobody_is_believed_unless_trusted() {
    assert_eq!(client_of(&["203.0.113.9"], &[]), "10.0.0.1");
    assert_eq!(client_of(&["203.0.113.9"], &["192.0.2.0/24"]), "10.0.0.1");
}

#[test]
fn the_client_is_the_right_most_hop_that_is_no_trusted_proxy() {
    let proxies = &["10.0.0.0/8"];
    for (lines, client) in [
        (&["203.0.113.9"][..], "203.0.113.9"),
        (&["1.1.1.1, 203.0.113.9, 10.2.2.2"], "203.0.113.9"),
        (&["1.1.1.1", "203.0.113.9 ,10.2.2.2"], "203.0.113.9"),
        (&["1.1.1.1, 203.0.113.9", "10.2.2.2"], "203.0.113.9"),
        (&["10.9.9.9, 10.2.2.2"], "10.9.9.9"),
        (&["203.0.113.9:4711"], "203.0.113.9"),
        (&["[2001:db8::7]:4711, 10.2.2.2"], "2001:db8::7"),
        (&["2001:db8::7"], "2001:db8::7"),
        (&["::ffff:203.0.113.9, ::ffff:10.2.2.2"], "203.0.113.9"),
        (&[], "10.0.0.1"),
    ] {
        assert_eq!(client_of(lines, proxies), client, "{lines:?}");
    }
}

#[test]
fn a_hop_that_is_no_address_ends_the_walk() {
    let proxies = &["10.0.0.0/8"];
    for (lines, client) in [
        (&["203.0.113.9, unknown"][..], "10.0.0.1"),
        (&["203.0.113.9, unknown, 10.2.2.2"], "10.2.2.2"),
        (&["203.0.113.9,, 10.2.2.2"], "10.2.2.2"),
        (&["203.0.113.9", ""], "10.0.0.1"),
        (&["203.0.113.9, \u{e4}"], "10.0.0.1"),
        (&["203.0.113.9, 10.2.2.2;x"], "10.0.0.1"),
    ] {
        assert_eq!(client_of(lines, proxies), client, "{lines:?}");
    }
}

#[test]
fn a_misspelled_forwarding_header_says_nothing() {
    let headers = headers(&[
        ("X_Forwarded_For", "203.0.113.9"),
        ("X-Real-IP", "203.0.113.9"),
        ("Forwarded", "for=203.0.113.9;proto=https"),
        ("X_Forwarded_Proto", "https"),
    ]);
    let facts = RequestFacts::read(&received(&headers), &server(&["10.0.0.0/8"]), "r");
    assert_eq!((facts.client.to_string().as_str(), facts.scheme), ("10.0.0.1", Scheme::Http));
}

#[test]
fn scheme_host_and_port_come_from_a_trusted_peer_only() {
    let headers = headers(&[
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "spoofed.example, www.example.com"),
    ]);
    let received = received(&headers);
    let facts = RequestFacts::read(&received, &server(&[]), "r");
    assert_eq!((facts.scheme, facts.forwarded_host), (Scheme::Http, "api.example.com"));
    assert_eq!(facts.port, 80);
    let facts = RequestFacts::read(&received, &server(&["10.0.0.1"]), "r");
    assert_eq!((facts.scheme, facts.forwarded_host), (Scheme::Https, "www.example.com"));
    assert_eq!((facts.port, facts.host), (443, "api.example.com"));
}

#[test]
fn what_a_trusted_peer_garbles_is_not_believed() {
    let headers = headers(&[
        ("X-Forwarded-Proto", "gopher"),
        ("X-Forwarded-Host", "a b"),
        ("X-Forwarded-Port", "99999"),
    ]);
    let facts = RequestFacts::read(&received(&headers), &server(&["10.0.0.1"]), "r");
    assert_eq!((facts.scheme, facts.forwarded_host), (Scheme::Http, "api.example.com"));
    assert_eq!(facts.port, 80);
}

#[test]
fn the_port_is_the_one_the_client_asked_for() {
    assert_eq!(port_asked_for("a:81", Scheme::Https), Some(81));
    assert_eq!(port_asked_for("[::1]:81", Scheme::Https), Some(81));
    assert_eq!(port_asked_for("[::1]", Scheme::Https), Some(443));
    assert_eq!(port_asked_for("a:", Scheme::Http), Some(80));
    assert_eq!(port_asked_for("", Scheme::Http), None);
}

#[test]
fn an_authority_is_a_host_and_a_port() {
    for text in ["a", "a.b-c_d", "A.example.:80", "192.0.2.1", "[::1]", "[2001:db8::1]:8080", "a:"]
    {
        assert!(is_authority(text), "{text}");
    }
    for text in [
        "", ":80", "a b", "a/b", "a@b", "a:b", "a:80:90", "a:99999", "<x>", "[::1", "[::1]x",
        "[x]", "::1", "a,b", "a%2fb", "a\\b", "\u{e4}", "[::1]:x",
    ] {
        assert!(!is_authority(text), "{text}");
    }
}

#[test]
fn a_request_id_is_taken_only_if_it_is_harmless_and_sent_once() {
    let id = |lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| ("X-Request-ID", *line)).collect();
        request_id(&headers(&lines)).map(str::to_owned)
    };
    let long = "a".repeat(128);
    assert_eq!(id(&["a.B_9-"]).as_deref(), Some("a.B_9-"));
    assert_eq!(id(&[&long]), Some(long.clone()));
    for lines in [&[][..], &[""], &["a b"], &["a\"b"], &["a", "a"], &["a,b"], &["\u{e4}"]] {
        assert_eq!(id(lines), None, "{lines:?}");
    }
    assert_eq!(id(&[&format!("{long}a")]), None);
    assert_eq!(request_id(&headers(&[("X_Request_ID", "a")])), None);
}

#[test]
fn only_a_complete_handshake_is_a_websocket() {
    let whole = [
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "WebSocket"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let is = |method: &Method, version, lines: &[(&str, &str)]| {
        is_websocket_handshake(method, version, &headers(lines))
    };
    assert!(is(&Method::GET, Version::HTTP_11, &whole));
    assert!(!is(&Method::POST, Version::HTTP_11, &whole));
    assert!(!is(&Method::GET, Version::HTTP_10, &whole));
    for missing in 0..whole.len() {
        let mut lines = whole.to_vec();
        lines.remove(missing);
        assert!(!is(&Method::GET, Version::HTTP_11, &lines), "without {missing}");
    }
    for (name, value) in [("Upgrade", "h2c"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")] {
        let mut lines = whole.to_vec();
        lines.push((name, value));
        assert!(!is(&Method::GET, Version::HTTP_11, &lines), "with another {name}");
    }
    let short = [whole[0], whole[1], ("Sec-WebSocket-Key", "eA==")];
    assert!(!is(&Method::GET, Version::HTTP_11, &short));
}

#[test]
fn a_request_over_a_limit_is_refused() {
    let limits =
        RequestLimits { header_bytes: 100, header_count: 3, uri_bytes: 10, ..Default::default() };
    assert_eq!(limits.admit(10, 100, 3), Ok(()));
    assert_eq!(limits.admit(11, 100, 3), Err(Denial::UriTooLong));
    assert_eq!(limits.admit(10, 101, 3), Err(Denial::HeadersTooLarge));
    assert_eq!(limits.admit(10, 100, 4), Err(Denial::HeadersTooLarge));
}
