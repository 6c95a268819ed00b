//! Projections, on every backend.

mod divergence;
mod exactly_once;
mod mishaps;
mod place;
mod poison;
mod rebuild;
mod sums;
mod tables;
#[cfg(all(feature = "tracing", feature = "metrics"))]
mod telemetry;
mod upcast;

/// Makes a test of each function for each place a store can be in.
macro_rules! on_every_backend {
    ($($test:ident)+) => {
        mod in_a_file {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test::<crate::projector::place::InFile>().await;
                }
            )+
        }

        mod in_memory {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test::<crate::projector::place::InMemory>().await;
                }
            )+
        }

        #[cfg(feature = "postgres")]
        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test::<crate::projector::place::OnServer>().await;
                }
            )+
        }
    };
}
use on_every_backend;
