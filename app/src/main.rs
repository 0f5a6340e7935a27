//! `mnist-api`: the whole program is the library's; this gives it an entry.

fn main() -> app::cli::Exit {
    app::cli::run()
}
