use std::sync::Mutex;

use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Memory {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

fn logged(level: Level, json: bool, write: impl FnOnce()) -> String {
    let memory = Memory::default();
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines { json: Arc::new(AtomicBool::new(json)) })
        .with_writer(memory.clone());
    let subscriber =
        tracing_subscriber::registry().with(targets(level, &["chatty_library"])).with(lines);
    tracing::subscriber::with_default(subscriber, write);
    let bytes = memory.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_listening_line_is_written_at_every_level() {
    let text = logged(Level::Error, true, || {
        tracing::info!(target: ANNOUNCEMENT, event = "listening", listener = "proxy", address = %"127.0.0.1:1");
        tracing::info!(target: "portcullis::gateway", "chatter");
    });
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["event"], "listening");
    assert_eq!(line["listener"], "proxy");
    assert_eq!(line["address"], "127.0.0.1:1");
}

#[test]
fn a_library_writes_nothing_of_what_requests_bring_at_any_level() {
    let write = || tracing::error!(target: "chatty_library::x", "fail to proxy");
    for level in [Level::Error, Level::Info, Level::Debug, Level::Trace] {
        assert_eq!(logged(level, true, write), "");
    }
}

#[test]
fn a_bridged_record_does_not_tell_where_it_was_built() {
    let text = logged(Level::Info, true, || {
        tracing::warn!(log.file = "/build/x.rs", log.line = 3, log.target = "library", "odd");
    });
    assert!(!text.contains("/build") && text.contains("\"target\":\"library\""), "{text}");
}

#[test]
fn a_line_for_people_keeps_control_characters_harmless() {
    let text = logged(Level::Info, false, || {
        tracing::warn!(target: "portcullis", path = "\u{1b}[2J", "two\nlines");
    });
    assert!(text.contains("two\n  lines path=\\u{1b}[2J"), "{text}");
}
