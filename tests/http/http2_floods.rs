//! Clients that use HTTP/2 to make work: each is cut off or held up, the gateway serves the others, and its memory stays small.

use crate::harness::{
    Gateway, Recorder,
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, Outcome,
        PING, RESET, SETTINGS, WINDOW_UPDATE, block, get,
    },
};

const YAML: &str = "
upstreams: { app: '@APP@' }
routes: [{ name: all, match: { path: '/**' }, upstream: app, auth: none }]
";

/// What the process may grow by: far less than any of the floods sends.
const ROOM: f64 = 48e6;

/// Lets this client do its worst, and sees how others fare meanwhile and afterwards.
fn survives(what: &str, attack: impl FnOnce(&Gateway)) {
    let upstream = Recorder::start();
    let gateway = Gateway::with(YAML).put("APP", &upstream.url()).start();
    gateway.get("/before").send().ok();
    let before = gateway.metric("process_resident_memory_bytes");
    attack(&gateway);
    gateway.get("/after").send().ok();
    let mut frames = Frames::connect(gateway.address());
    frames.get(1, "/after");
    assert_eq!(frames.outcome(1).status(), 200, "{what}");
    let grown = gateway.metric("process_resident_memory_bytes") - before;
    assert!(grown < ROOM, "{what}: {grown} bytes more");
}

/// Sends until the other side has enough; what it says last.
fn until_cut(frames: &mut Frames, most: usize, mut piece: impl FnMut(usize) -> Vec<u8>) -> bool {
    (0..most).any(|number| !frames.raw.offer(piece(number)))
}

fn farewell(frames: &mut Frames) -> Option<u32> {
    let mut code = None;
    while let Some(frame) = frames.next() {
        if frame.kind == GOAWAY {
            code = Some(frame.code());
        }
    }
    code
}

#[test]
fn requests_that_are_reset_at_once_end_the_connection() {
    survives("rapid reset", |gateway| {
        let mut frames = Frames::connect(gateway.address());
        let header = block(&get("/reset"));
        let cut = until_cut(&mut frames, 50_000, |number| {
            let stream = u32::try_from(number * 2 + 1).unwrap();
            let begin = Frame::bytes(HEADERS, END_STREAM | END_HEADERS, stream, &header);
            [begin, Frame::bytes(RESET, 0, stream, &8u32.to_be_bytes())].concat()
        });
        assert!(cut, "nobody minded");
    });
}

#[test]
fn requests_that_are_given_up_after_they_were_begun_end_the_connection() {
    let (_keep, kept) = std::sync::mpsc::channel::<()>();
    let kept = std::sync::Mutex::new(kept);
    let upstream = Recorder::scripted(move |request, _| {
        if request.target() == "/held" {
            let _ = kept.lock().unwrap().recv_timeout(crate::harness::PATIENCE);
        }
        crate::harness::After::Close
    });
    let gateway = Gateway::with(YAML).put("APP", &upstream.url()).start();
    let mut frames = Frames::connect(gateway.address());
    let cut = (0..400).any(|number| {
        let stream = number * 2 + 1;
        let header = block(&get("/held"));
        let begun = frames.offer(HEADERS, END_STREAM | END_HEADERS, stream, &header);
        !begun || !frames.is_heard() || !frames.offer(RESET, 0, stream, &8u32.to_be_bytes())
    });
    assert!(cut, "four hundred were begun for nothing");
    gateway.wait_for_log("why", |line| {
        line["event"] == "connection_cut" && line["why"] == "requests_given_up"
    });
}

#[test]
fn streams_that_the_gateway_is_made_to_reset_end_the_connection() {
    survives("made to reset", |gateway| {
        let mut frames = Frames::connect(gateway.address());
        let header = block(&get("/made"));
        // A window that is opened beyond its bound is an error of the stream.
        let cut = until_cut(&mut frames, 50_000, |number| {
            let stream = u32::try_from(number * 2 + 1).unwrap();
            let begin = Frame::bytes(HEADERS, END_HEADERS, stream, &header);
            let most = 0x7fff_ffffu32.to_be_bytes();
            [begin, Frame::bytes(WINDOW_UPDATE, 0, stream, &most)].concat()
        });
        assert!(cut, "nobody minded");
    });
}

#[test]
fn malformed_requests_end_the_connection_after_some() {
    survives("malformed", |gateway| {
        let mut frames = Frames::connect(gateway.address());
        let fields = [&get("/")[..], &[("host", "other.example")]].concat();
        let header = block(&fields);
        let cut = until_cut(&mut frames, 20_000, |number| {
            let stream = u32::try_from(number * 2 + 1).unwrap();
            Frame::bytes(HEADERS, END_STREAM | END_HEADERS, stream, &header)
        });
        assert!(cut, "nobody minded");
    });
}

#[test]
fn a_header_without_an_end_is_not_gathered() {
    survives("continuation", |gateway| {
        for piece in [&b""[..], &block(&[("x", &"y".repeat(8000))])] {
            let mut frames = Frames::connect(gateway.address());
            frames.send(HEADERS, 0, 1, &block(&get("/")));
            let frame = Frame::bytes(CONTINUATION, 0, 1, piece);
            let cut = until_cut(&mut frames, 100_000, |_| frame.clone());
            assert!(cut, "nobody minded");
        }
    });
}

#[test]
fn empty_pieces_of_a_body_end_the_connection_or_the_stream() {
    survives("empty data", |gateway| {
        let mut frames = Frames::connect(gateway.address());
        let mut fields = get("/up");
        fields[0].1 = "POST";
        frames.header(1, 0, &fields);
        let frame = Frame::bytes(DATA, 0, 1, b"").repeat(100);
        let cut = until_cut(&mut frames, 10_000, |_| frame.clone());
        assert!(cut, "nobody minded");
        assert!(matches!(farewell(&mut frames), None | Some(11)), "ENHANCE_YOUR_CALM");
    });
}

#[test]
fn settings_and_pings_that_nobody_reads_the_answers_to_are_not_queued() {
    survives("settings and pings", |gateway| {
        for frame in [
            Frame::bytes(SETTINGS, 0, 0, &[]),
            Frame::bytes(PING, 0, 0, b"01234567"),
            Frame::bytes(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
        ] {
            let mut frames = Frames::connect(gateway.address());
            frames.raw.give_up_soon();
            let many = frame.repeat(1000);
            // It stops reading as soon as its answers are not read.
            let held_up = until_cut(&mut frames, 20_000, |_| many.clone());
            assert!(held_up, "twenty million frames were taken");
        }
    });
}

#[test]
fn an_acknowledgement_that_nobody_waits_for_ends_the_connection() {
    survives("acknowledgements", |gateway| {
        let mut frames = Frames::connect(gateway.address());
        let frame = Frame::bytes(SETTINGS, ACK, 0, &[]);
        let cut = until_cut(&mut frames, 100_000, |_| frame.clone());
        assert!(cut, "nobody minded");
    });
}

#[test]
fn more_requests_than_there_may_be_are_refused_one_by_one() {
    let (keep, kept) = std::sync::mpsc::channel::<()>();
    let kept = std::sync::Mutex::new(kept);
    let upstream = Recorder::scripted(move |_, _| {
        let _ = kept.lock().unwrap().recv();
        crate::harness::After::Close
    });
    let gateway = Gateway::with(YAML).put("APP", &upstream.url()).start();
    let mut frames = Frames::connect(gateway.address());
    for number in 0..101 {
        frames.get(number * 2 + 1, "/held");
    }
    // REFUSED_STREAM: it was not looked at, and may be sent again.
    assert_eq!(frames.outcome(201), Outcome::Reset(7));
    drop(keep);
}
