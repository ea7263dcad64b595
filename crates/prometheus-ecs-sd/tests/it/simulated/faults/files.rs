//! Someone or something else at the target files.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::super::{Stage, fleet};
use super::trial::{NEXT_REFRESH, Trial, launch};

/// What somebody does to the target directory.
type Deed = fn(&Path);

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

async fn begin() -> Trial {
    Trial::on(Stage::new(fleet(&[("prod", 2)]))).await
}

/// Whatever stands where a target file was is replaced at the next refresh, whether targets change or not.
#[tokio::test(start_paused = true)]
async fn what_someone_puts_in_a_files_place_is_replaced() {
    let deeds: [(&str, Deed); 6] = [
        ("another file", |path| fs::write(path, "[]\n").unwrap()),
        ("an empty file", |path| fs::write(path, "").unwrap()),
        ("nothing", remove),
        ("a link to a file of the same bytes", |path| {
            let elsewhere = path.with_extension("elsewhere");
            fs::rename(path, &elsewhere).unwrap();
            symlink(&elsewhere, path).unwrap();
        }),
        ("a link to nothing", |path| {
            remove(path);
            symlink("nowhere", path).unwrap();
        }),
        ("a pipe", |path| {
            remove(path);
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            assert!(fs::symlink_metadata(path).unwrap().file_type().is_fifo());
        }),
    ];
    for (what, deed) in deeds {
        let mut trial = begin().await;
        for change in [false, true] {
            if change {
                trial.stage.change(|region| launch(region, "prod", "new"));
            }
            deed(&trial.stage.path("1m-tasks.json"));
            trial.heal(NEXT_REFRESH, what).await;
            let found = fs::symlink_metadata(trial.stage.path("1m-tasks.json")).unwrap();
            assert!(found.is_file(), "{what}");
            let elsewhere = trial.stage.path("1m-tasks.elsewhere");
            if elsewhere.exists() {
                assert!(fs::symlink_metadata(elsewhere).unwrap().is_file(), "{what}");
            }
        }
    }
}

/// The clock was ahead when the file was written last, and was set right since then.
#[tokio::test(start_paused = true)]
async fn a_file_of_the_future_is_one_of_the_present_after_the_next_refresh() {
    let mut trial = begin().await;
    let path = trial.stage.path("1m-tasks.json");
    let file = fs::File::open(&path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
    trial.heal(NEXT_REFRESH, "a file of the future").await;
    assert!(fs::metadata(&path).unwrap().modified().unwrap() <= SystemTime::now());
}

/// A file that cannot be replaced stays as it is, is no reason not to write the others, and is right at the first refresh
/// after that is over.
#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_replaced_harms_no_other() {
    let mut trial = begin().await;
    let blocked = trial.stage.path("5m-tasks.json");
    remove(&blocked);
    fs::create_dir_all(blocked.join("something")).unwrap();
    trial.stage.change(|region| launch(region, "prod", "new"));
    trial.next().await;
    assert_eq!(trial.stage.targets("1m").len(), 3);
    fs::remove_dir_all(&blocked).unwrap();
    trial.heal(NEXT_REFRESH, "a directory in a file's place").await;
}

/// While no file can be made, all stay as they are.
#[tokio::test(start_paused = true)]
async fn a_directory_that_cannot_be_written_costs_nothing() {
    let deeds: [(&str, Deed); 2] = [
        ("a file where files are made", |path| {
            fs::remove_dir_all(path).unwrap();
            fs::write(path, "").unwrap();
        }),
        ("a link where files are made", |path| {
            fs::remove_dir_all(path).unwrap();
            symlink("nowhere", path).unwrap();
        }),
    ];
    for (what, deed) in deeds {
        let mut trial = begin().await;
        let before = trial.targets();
        let work = trial.stage.path(".prometheus-ecs-sd");
        deed(&work);
        trial.stage.change(|region| launch(region, "prod", "new"));
        trial.watch(3 * NEXT_REFRESH, |now| now.are(&before, what)).await;
        remove(&work);
        trial.heal(NEXT_REFRESH, what).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_is_removed_is_filled_again_once_it_is_back() {
    let mut trial = begin().await;
    fs::remove_dir_all(trial.stage.config.directory.as_deref().unwrap()).unwrap();
    trial.next().await;
    trial.stage.change(|region| launch(region, "prod", "new"));
    trial.next().await;
    fs::create_dir(trial.stage.config.directory.as_deref().unwrap()).unwrap();
    trial.heal(NEXT_REFRESH, "a directory that is back").await;
}
