//! The program: everything of prometheus-ecs-sd that touches the world.

pub mod aws;
