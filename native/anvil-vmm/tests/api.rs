//! Every row of the API's table, before a guest is started.

mod common;

use common::{files, follow, monitor, Folder};

#[test]
fn every_row_of_the_table_holds() {
    let folder = Folder::new();
    files(&folder);
    let rows = follow(&mut monitor(&folder), include_str!("data/api.txt"), &folder);
    assert!(rows > 90, "{rows}");
}
