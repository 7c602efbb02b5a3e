//! Random values from a numbered case, so that a case that fails can be run again.
//!
//! Not proptest: what it adds, shrinking, is worth little on values this small, and it would bring a second
//! stack of random numbers into every build of the tests. The fuzz targets look where no generator does.

/// A reproducible stream of numbers (splitmix64).
pub(crate) struct Random(u64);

/// Runs a property for many cases; the number of the one that fails is printed with the panic.
pub(crate) fn cases(count: u64, mut property: impl FnMut(&mut Random)) {
    struct Case(u64);
    impl Drop for Case {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("this was case {}", self.0);
            }
        }
    }
    for number in 0..count {
        let _case = Case(number);
        property(&mut Random(number << 32));
    }
}

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }

    pub(crate) fn chance(&mut self) -> bool {
        self.next() & 1 == 1
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Up to `max` values.
    pub(crate) fn some<T>(&mut self, max: usize, mut value: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(max + 1)).map(|_| value(self)).collect()
    }

    pub(crate) fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.chance() { Some(value(self)) } else { None }
    }

    /// `min` to `max` of these characters.
    pub(crate) fn text(&mut self, characters: &str, min: usize, max: usize) -> String {
        let characters: Vec<char> = characters.chars().collect();
        (0..min + self.below(max - min + 1)).map(|_| *self.pick(&characters)).collect()
    }
}
