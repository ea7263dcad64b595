//! Prometheus service discovery for containers on Amazon ECS.

fn main() {}
