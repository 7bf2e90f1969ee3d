//! The dedicated worker's binary. Everything it does is in [`inference::worker`].

fn main() {
    #[cfg(target_arch = "wasm32")]
    inference::worker::start();
}
