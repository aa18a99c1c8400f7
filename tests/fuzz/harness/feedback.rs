//! What devices report, and sheets of counts.
//!
//! Nothing panics; a fault says where and carries no word of the device; whatever is taken says something that is read
//! back the same; a sheet that is read is written and read the same, and heard twice counts once.

use huidu_core::{
    feedback::{Book, Bounds, Kind, Report, Sheet, What},
    name::is_name,
};

pub fn run(data: &[u8]) {
    report(data);
    if let Ok(sheet) = Sheet::decode(data) {
        assert_eq!(Sheet::decode(&sheet.encode()).as_ref(), Ok(&sheet));
        let book = || {
            Book::new(Bounds {
                cells_of_app: 4,
                places: 64,
            })
        };
        let (mut once, mut twice) = (book(), book());
        once.hear(&sheet, 7);
        twice.hear(&sheet, 7);
        twice.read(&sheet);
        let apps = sheet.iter().map(|(_, cell, ..)| &cell.app);
        for app in apps {
            let all = |book: &Book| book.totals(app, 0, u32::MAX);
            assert_eq!(all(&once), all(&twice));
        }
        twice.settle(u32::MAX, 0);
        assert!(once.len() <= 64 && twice.len() <= once.len());
    }
}

fn report(data: &[u8]) {
    let report = match Report::from_json(data) {
        Ok(report) => report,
        Err(fault) => {
            let said = fault.to_string();
            assert!(
                !said.is_empty() && said.is_ascii() && said.len() < 200,
                "{said}"
            );
            return;
        }
    };
    for event in &report.events {
        match event.what().expect("what is taken says something") {
            What::Told(told) => {
                let kept = told.kept();
                assert_eq!(kept.to_string().parse::<Kind>().as_ref(), Ok(&kept));
                assert_eq!(kept.told(), told);
                let (tenant, app) = event.app.split_once('/').expect("an app");
                assert!(is_name(tenant) && is_name(app));
            }
            What::Doubted(code) => assert!(is_name(code)),
        }
        assert!((1..=1_000).contains(&event.count));
    }
}
