//! Models in several parts: the room that they take, what is left of them where something ends early, and that it goes.

use crate::hub::{files_left, halves};
use crate::hub_server::{COMMIT, FakeHub, Reply, noise, sha256};
use crate::workspace::Workspace;
use serde_json::Value;
use std::path::PathBuf;

const PARTS: [&str; 2] = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
const URI: &str = "hf://o/r/m-00001-of-00002.gguf";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn the_room_for_the_joined_file_is_looked_for_before_anything_comes() {
    let workspace = Workspace::new();
    // The parts have room, and the whole beside them has none.
    let part = fs4::available_space(workspace.path()).unwrap() / 8 * 3;
    let file = |name: &str, sum: &str| {
        let lfs = serde_json::json!({"sha256": sum.repeat(64), "size": part});
        serde_json::json!({"rfilename": name, "lfs": lfs})
    };
    let listed = serde_json::json!({"sha": COMMIT, "siblings": [file(PARTS[0], "a"), file(PARTS[1], "b")]}).to_string();
    let hub = FakeHub::new(&[], move |asked| {
        asked.path.starts_with("/api/").then(|| Reply::new("200 OK", listed.as_bytes()))
    });
    let refused = hub.tripos(&workspace, &["model", "pull", URI]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.starts_with("error: the disk is too small: "), "{}", refused.stderr);
    assert_eq!(hub.hub.asked("/resolve/").len(), 0);
}

#[test]
fn what_came_of_a_model_that_broke_off_between_its_parts_is_removed_by_its_name() {
    let files = [(PARTS[0], noise(3000)), (PARTS[1], noise(2000))];
    let second = format!("/bytes/{}", sha256(&files[1].1));
    let hub = FakeHub::new(&files, move |asked| (asked.path == second).then(|| Reply::new("404 Not Found", "gone")));
    let workspace = Workspace::new();
    let refused = hub.tripos(&workspace, &["model", "pull", URI]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(files_left(&workspace) > 0, "the first part is here");
    let removed = json(&hub.ok(&workspace, &["model", "rm", URI, "--format", "json"]).stdout);
    assert_eq!(removed["bytes"], 3000);
    assert_eq!(files_left(&workspace), 0);
}

#[test]
fn what_a_killed_join_left_is_listed_and_removed() {
    let (first, second) = halves();
    let hub = FakeHub::right(&[(PARTS[0], first), (PARTS[1], second)]);
    let workspace = Workspace::new();
    let pulled = json(&hub.ok(&workspace, &["model", "pull", URI, "--format", "json"]).stdout);
    let joined = PathBuf::from(pulled["path"].as_str().unwrap());
    // Killed while it wrote, under another name.
    std::fs::rename(&joined, joined.with_file_name(".tmpAbCdEf")).unwrap();
    let listed = json(&hub.ok(&workspace, &["model", "list", "--format", "json"]).stdout);
    let removed = json(&hub.ok(&workspace, &["model", "rm", URI, "--format", "json"]).stdout);
    assert_eq!(removed["bytes"], listed["models"][0]["bytes"]);
    assert_eq!(files_left(&workspace), 0);
    // And the next join does away with it.
    hub.ok(&workspace, &["model", "pull", URI]);
    std::fs::rename(&joined, joined.with_file_name(".tmpAbCdEf")).unwrap();
    hub.ok(&workspace, &["model", "pull", URI]);
    let left: Vec<_> =
        std::fs::read_dir(joined.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["m.gguf"]);
}
