use super::*;

fn head(raw: &str) -> Result<Head<'_>, Denial> {
    read(raw.as_bytes(), &RequestLimits::default())
}

fn refused(raw: &str) -> bool {
    matches!(head(raw), Err(Denial::BadRequest { .. }))
}

#[test]
fn a_plain_request_is_read() {
    let head = head("GET /a/b?c=d HTTP/1.1\r\nHost: h.example:80\r\nX: y\r\n\r\n").unwrap();
    assert_eq!(
        head,
        Head {
            path: "/a/b",
            query: Some("c=d"),
            host: "h.example:80",
            body: Body::None,
            absolute: false
        }
    );
}

#[test]
fn ambiguous_framing_is_refused() {
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding : chunked\r\n",
    ] {
        assert!(refused(&format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")), "{fields:?}");
    }
    assert!(refused("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

#[test]
fn the_two_framings_are_told_apart() {
    let body = |fields: &str| {
        let raw = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        read(raw.as_bytes(), &RequestLimits::default()).unwrap().body
    };
    assert_eq!(body("content-length: 12\r\n"), Body::Length(12));
    assert_eq!(body("Content-Length:\t007 \r\n"), Body::Length(7));
    assert_eq!(body("TRANSFER-ENCODING: Chunked\r\n"), Body::Chunked);
    assert_eq!(body("Content-Length: 0\r\n"), Body::None);
}

#[test]
fn host_comes_once_and_is_an_authority() {
    for host in [
        "",
        "Host:\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: user@a\r\n",
        "Host: a:b\r\n",
        "Host: a:99999\r\n",
        "Host: a,b\r\n",
        "Host: [::1\r\n",
        "Host: <a>\r\n",
        "Host: a\\b\r\n",
    ] {
        assert!(refused(&format!("GET / HTTP/1.1\r\n{host}\r\n")), "{host:?}");
    }
    for host in ["a", "a.example.", "a:80", "127.0.0.1:1", "[::1]", "[::1]:80", "a_b"] {
        let raw = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(head(&raw).unwrap().host, host);
    }
    assert_eq!(head("GET / HTTP/1.0\r\n\r\n").unwrap().host, "");
}

#[test]
fn lines_that_are_mended_elsewhere_are_refused() {
    for raw in [
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\x7fb\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /\r\nHost: h\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        "GET / http/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n",
        "\r\n\r\n",
        "",
    ] {
        assert!(refused(raw), "{raw:?}");
    }
    assert!(head("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").is_ok());
}

#[test]
fn a_target_is_a_path_an_absolute_uri_or_an_asterisk() {
    let target = |target: &str, method: &str| {
        let raw = format!("{method} {target} HTTP/1.1\r\nHost: h.example\r\n\r\n");
        let head = read(raw.as_bytes(), &RequestLimits::default());
        head.map(|head| (head.path.to_owned(), head.query.map(str::to_owned)))
    };
    let read = |path: &str, query: Option<&str>| Ok((path.to_owned(), query.map(str::to_owned)));
    for (text, path, query) in [
        ("/", "/", None),
        ("//a", "//a", None),
        ("/a?b?c", "/a", Some("b?c")),
        ("/a?", "/a", Some("")),
        ("/a://b", "/a://b", None),
        ("http://h.example", "/", None),
        ("HTTP://H.example/a?b", "/a", Some("b")),
        ("https://h.example?b", "/", Some("b")),
    ] {
        assert_eq!(target(text, "GET"), read(path, query), "{text}");
    }
    assert_eq!(target("*", "OPTIONS"), read("*", None));
    for text in [
        "*",
        "x",
        "?a",
        "",
        "%20/x",
        "h.example:80",
        "ftp://h.example/",
        "http:/h.example/",
        "http://other.example/",
        "http://u@h.example/",
        "http:///a",
    ] {
        assert!(matches!(target(text, "GET"), Err(Denial::BadRequest { .. })), "{text}");
    }
    for text in ["/#", "/a?b#c", "http://h.example/#"] {
        assert!(matches!(target(text, "GET"), Err(Denial::AmbiguousPath { .. })), "{text}");
    }
}

#[test]
fn what_is_too_large_is_named() {
    let limits = RequestLimits {
        header_bytes: 100,
        header_count: 2,
        uri_bytes: 10,
        ..RequestLimits::default()
    };
    let denial = |raw: &str| read(raw.as_bytes(), &limits).unwrap_err();
    assert_eq!(denial("GET /0123456789 HTTP/1.1\r\nHost: h\r\n\r\n"), Denial::UriTooLong);
    let many = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n";
    assert_eq!(denial(many), Denial::HeadersTooLarge);
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "b".repeat(100));
    assert_eq!(denial(&long), Denial::HeadersTooLarge);
}
