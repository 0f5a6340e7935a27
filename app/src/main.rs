//! `mnist-api`: the whole program is the library's; this gives it an entry and an allocator.

/// libtorch's tensors come from it, too: it stands before the C library's for the whole process. What it gains is in
/// `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> app::cli::Exit {
    app::cli::run()
}
