//! What the program prints, kept in `snapshots/`: one for both databases, since they are to look the same.

/// Compares what was printed with the snapshot of that name.
///
/// Ids that are made at random are shown as `[v7]`, checksums and places that differ from run to run by what `also` says.
#[track_caller]
pub fn shows_but_for(name: &str, text: &str, also: &[(&str, &str)]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", "[v7]");
    for (pattern, shown) in also {
        settings.add_filter(pattern, *shown);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Compares what was printed with the snapshot of that name.
#[track_caller]
pub fn shows(name: &str, text: &str) {
    shows_but_for(name, text, &[]);
}
