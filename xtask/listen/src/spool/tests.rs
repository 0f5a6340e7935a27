//! What the spool keeps, and in which order.

use super::*;

fn report(environment: &str, number: usize) -> Report {
    let body = serde_json::json!({ "event_type": "argocd-release-failed",
        "client_payload": { "env": environment, "number": number } });
    Report::bare(body.to_string().as_bytes()).unwrap()
}

fn ids(spool: &Spool) -> Vec<Id> {
    spool.waiting().iter().map(|waiting| waiting.id.clone()).collect()
}

#[test]
fn the_same_report_waits_once_and_another_start_finds_all_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 100, 10).unwrap();
    let reports: Vec<Report> = (0..50).map(|number| report("staging", number)).collect();
    for report in &reports {
        assert_eq!(spool.accept(report).unwrap(), Accepted::New);
        assert_eq!(spool.accept(report).unwrap(), Accepted::Known);
    }
    let order: Vec<Id> = reports.iter().map(|report| report.id.clone()).collect();
    assert_eq!(ids(&spool), order);
    drop(spool);
    let spool = Spool::open(folder.path(), 100, 10).unwrap();
    assert_eq!(ids(&spool), order);
    assert_eq!(spool.read(&order[7]).unwrap().as_ref(), Some(&reports[7]));
    fs_err::remove_file(spool.file(&order[0])).unwrap();
    fs_err::write(spool.file(&order[1]), "{}").unwrap();
    assert_eq!(spool.read(&order[0]).unwrap(), None);
    assert_eq!(spool.read(&order[1]).unwrap(), None);
    assert_eq!(ids(&spool), order[2..]);
}

#[test]
fn two_programs_do_not_share_a_spool() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Spool::open(folder.path(), 1, 1).unwrap();
    let error = Spool::open(folder.path(), 1, 1).unwrap_err().to_string();
    assert!(error.contains("another program works on the spool"), "{error}");
}

#[test]
fn what_was_never_accepted_is_cleared_away_and_what_is_no_report_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    drop(Spool::open(folder.path(), 9, 9).unwrap());
    let known = report("staging", 1);
    for (name, content) in
        [("half.tmp", "{"), ("other.json", "{}"), ("renamed.json", known.body.as_str())]
    {
        fs_err::write(folder.path().join("waiting").join(name), content).unwrap();
    }
    let spool = Spool::open(folder.path(), 9, 9).unwrap();
    assert_eq!(ids(&spool), []);
    assert!(list(&folder.path().join("waiting")).unwrap().is_empty());
    assert_eq!(list(&folder.path().join("done")).unwrap().len(), 2);
}

#[test]
fn what_waits_and_what_is_kept_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 2, 3).unwrap();
    for number in 0..10 {
        let report = report("staging", number);
        assert_eq!(spool.accept(&report).unwrap(), Accepted::New);
        spool.finish(&report.id, "done").unwrap();
    }
    assert_eq!(list(&folder.path().join("done")).unwrap().len(), 3);
    spool.accept(&report("staging", 10)).unwrap();
    spool.accept(&report("staging", 11)).unwrap();
    assert_eq!(spool.accept(&report("staging", 12)).unwrap(), Accepted::Full);
    assert_eq!(list(&folder.path().join("waiting")).unwrap().len(), 2);
    assert!(spool.is_writable());
}
