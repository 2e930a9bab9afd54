//! What it costs to find a route among 10, 1,000 and 10,000, and to build the table.
//!
//! Leaves out everything before and after: reading the request, the decision. `matchit` is the
//! yardstick: a radix tree that matches decoded paths and judges no spelling, no host and no
//! method. `hot` asks for ten paths again and again, `spread` for a thousand all over the table,
//! so that it shows the cost of cold memory too.

use divan::{AllocProfiler, Bencher, black_box, counter::ItemsCount};
use http::Method;
use portcullis::policy::route::{
    Distinguishes, Entry, HostPattern, MethodSet, PathPattern, RouteTable,
};

/// Counts allocations: a plain path has none.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const SIZES: [usize; 3] = [10, 1_000, 10_000];

fn main() {
    divan::main();
}

/// Templates as a gateway before many services has them.
fn template(number: usize) -> String {
    let (service, kind) = (number / 5, number % 5);
    match kind {
        0 => format!("/api/v1/service-{service}/items/{{id}}"),
        1 => format!("/api/v1/service-{service}/items"),
        2 => format!("/api/v1/service-{service}/users/{{user_id}}/orders/{{order_id}}"),
        3 => format!("/files/service-{service}/{{rest*}}"),
        _ => format!("/health/service-{service}"),
    }
}

/// A path that the template matches.
fn path(number: usize) -> String {
    let template = template(number);
    let filled = template.replace("{id}", "4711").replace("{user_id}", "42");
    filled.replace("{order_id}", "2024-10-1").replace("{rest*}", "a/b.txt")
}

fn entries(count: usize) -> Vec<Entry> {
    let entry = |number| Entry {
        hosts: vec![HostPattern::parse("*.example.com").expect("a host")],
        paths: vec![PathPattern::parse(&template(number)).expect("a template")],
        methods: MethodSet::named([Method::GET, Method::POST]),
        distinguishes: Distinguishes::NOTHING,
        guarded: vec!["user_id".to_owned()],
    };
    (0..count).map(entry).collect()
}

fn table(count: usize) -> RouteTable {
    RouteTable::build(&entries(count)).expect("no overlaps")
}

/// Paths of the first ten routes, which every table has.
fn hot() -> Vec<String> {
    (0..10).map(path).collect()
}

/// Paths all over a table, in an order that no prefetcher guesses.
fn spread(count: usize) -> Vec<String> {
    (0..1_000).map(|step| path(step * 7_919 % count)).collect()
}

fn find_all(bencher: Bencher, table: &RouteTable, paths: &[String]) {
    bencher.counter(ItemsCount::new(paths.len())).bench(|| {
        for path in paths {
            let found = table.find("api.example.com", &Method::GET, black_box(path.as_bytes()));
            black_box(found.is_ok());
        }
    });
}

#[divan::bench(args = SIZES)]
fn find_hot(bencher: Bencher, count: usize) {
    find_all(bencher, &table(count), &hot());
}

#[divan::bench(args = SIZES)]
fn find_spread(bencher: Bencher, count: usize) {
    find_all(bencher, &table(count), &spread(count));
}

/// Parameters with capital letters: one more look-up.
#[divan::bench(args = SIZES)]
fn find_upper_case(bencher: Bencher, count: usize) {
    let paths: Vec<String> = hot().iter().map(|path| path.replace("4711", "4711AbC")).collect();
    find_all(bencher, &table(count), &paths);
}

/// Paths with several readings.
#[divan::bench(args = SIZES)]
fn find_ambiguous(bencher: Bencher, count: usize) {
    let paths: Vec<String> = hot().iter().map(|path| format!("{path};v=1%2Fx")).collect();
    find_all(bencher, &table(count), &paths);
}

/// The dearest path that 8 KiB hold: as many readings as are looked at, each of them long.
#[divan::bench]
fn find_dearest(bencher: Bencher) {
    let table = RouteTable::build(&[Entry {
        hosts: Vec::new(),
        paths: vec![PathPattern::parse("/**").expect("a template")],
        methods: MethodSet::Any,
        distinguishes: Distinguishes::NOTHING,
        guarded: Vec::new(),
    }])
    .expect("no overlaps");
    let path = format!("/A;%252f//x\\{}", "a/%41".repeat(1_600));
    find_all(bencher, &table, &[path]);
}

#[divan::bench(args = SIZES)]
fn build(bencher: Bencher, count: usize) {
    let entries = entries(count);
    bencher.bench(|| RouteTable::build(black_box(&entries)));
}

mod yardstick {
    use super::{Bencher, ItemsCount, SIZES, black_box, hot, spread, template};

    fn router(count: usize) -> matchit::Router<usize> {
        let mut router = matchit::Router::new();
        for number in 0..count {
            let pattern = template(number).replace("{rest*}", "{*rest}");
            router.insert(pattern, number).expect("no overlaps");
        }
        router
    }

    fn find_all(bencher: Bencher, router: &matchit::Router<usize>, paths: &[String]) {
        bencher.counter(ItemsCount::new(paths.len())).bench(|| {
            for path in paths {
                black_box(router.at(black_box(path)).is_ok());
            }
        });
    }

    #[divan::bench(args = SIZES)]
    fn matchit_hot(bencher: Bencher, count: usize) {
        find_all(bencher, &router(count), &hot());
    }

    #[divan::bench(args = SIZES)]
    fn matchit_spread(bencher: Bencher, count: usize) {
        find_all(bencher, &router(count), &spread(count));
    }
}
