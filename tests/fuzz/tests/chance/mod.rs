//! Bytes drawn by chance, and targets by name.

/// SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn bytes(&mut self, most: u64) -> Vec<u8> {
        let length = self.next() % most;
        (0..length).map(|_| self.next() as u8).collect()
    }
}

fn target(name: &str) -> fn(&[u8]) {
    match name {
        "exchange" => sluice_fuzz::exchange,
        "module" => sluice_fuzz::module,
        "codecs" => sluice_fuzz::codecs,
        _ => sluice_fuzz::config,
    }
}

/// Says which bytes it was, in a form that can be put into a file.
pub(crate) fn run(name: &str, data: &[u8]) {
    let result = std::panic::catch_unwind(|| target(name)(data));
    if let Err(panic) = result {
        let hex: String = data.iter().map(|b| format!("{b:02x}")).collect();
        eprintln!("{name} went wrong with {hex}");
        std::panic::resume_unwind(panic);
    }
}
