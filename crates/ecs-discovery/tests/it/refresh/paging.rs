//! Listings whose pages do not come as they should.

use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::snapshot::ScopeStatus;

use crate::fixture::{World, app, fargate};
use crate::show::file;
use crate::source::Source;

fn world() -> World {
    World::of(["1", "2"].map(|id| fargate().id(id).interface(&format!("10.0.0.{id}")).with(app())))
}

/// A refresh in which the page after `page` is named `next(page)`, and `keep` says whether a page lists anything.
fn refresh(source: &mut Source, next: impl Fn(u32) -> Option<u32>, keep: impl Fn(u32) -> bool) -> usize {
    let world = world();
    let asked = source.refresh_with(|question| {
        let number = |page: &Option<String>| page.as_ref().map_or(0, |page| page.parse().unwrap());
        let token = |page: &Option<String>| next(number(page)).map(|next| next.to_string());
        Ok(match question {
            Question::Tasks { cluster, page } => {
                let all = world.answer(&Question::Tasks { cluster: cluster.clone(), page: None })?;
                let Answer::Tasks { tasks, .. } = all else { panic!("another answer") };
                let tasks = if keep(number(page)) { tasks } else { Vec::new() };
                Answer::Tasks { tasks, next: token(page) }
            }
            Question::Clusters { page } => {
                let Answer::Clusters { clusters, .. } = world.answer(&Question::Clusters { page: None })?
                else {
                    panic!("another answer")
                };
                let clusters = if keep(number(page)) { clusters } else { Vec::new() };
                Answer::Clusters { clusters, next: token(page) }
            }
            other => world.answer(other)?,
        })
    });
    asked.iter().filter(|question| question.is_page()).count()
}

#[test]
fn a_listing_that_begins_again_and_again_is_given_up_and_held() {
    let mut source = Source::default();
    source.refresh(&world());
    let before = file(&source);
    for _ in 0..2 {
        let pages = refresh(&mut source, |page| Some(page + 1), |_| true);
        assert!(pages < 50, "{pages} pages");
        assert_eq!(file(&source), before);
        assert!(source.failure.is_some() && !source.complete);
        assert!(matches!(source.scope("prod").status, ScopeStatus::Stale(_)));
    }
    source.refresh(&world());
    assert!(source.complete);
}

#[test]
fn pages_may_be_empty_as_long_as_there_is_an_end() {
    let mut source = Source::default();
    let pages = refresh(&mut source, |page| (page < 200).then_some(page + 1), |page| page == 200);
    assert_eq!((pages, source.snapshot.targets().len()), (402, 2));
    assert!(source.complete);
}
