//! A gateway with a store.

use crate::harness::Gateway;

/// A gateway with a store beside its file.
const FILE: &str = "
store: sqlite:portcullis.db
store_max_stale: 2s
upstreams: { app: { builtin: echo } }
authentication: { api_keys: { header: X-API-Key } }
routes:
  - { name: all, match: { path: /** }, upstream: app, auth: api_key }
";

#[test]
fn a_key_that_nobody_made_is_refused() {
    let gateway = Gateway::with(FILE).start();
    assert_eq!(gateway.get("/").header("X-API-Key", "nobody's").send().status, 401);
}
