//! The smallest archive that huidu takes: one file. For tests that are about something else; real packages are in
//! [`super::packages`].

/// An archive whose `app.js` says `text`; its bytes, and so its digest, follow from that alone.
pub fn saying(text: &str) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let app_js = format!("App({{ says: '{text}' }})\n");
    let mut header = tar::Header::new_ustar();
    header.set_size(app_js.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, "app.js", app_js.as_bytes())
        .unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}
