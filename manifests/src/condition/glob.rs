//! Shell patterns for whole texts, as fnmatch(3) without flags: `*`, `?`, `[a-z]`, `[!a]`, `\` before any.

/// Whether a pattern matches all of a text.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The last star, and how much text it matched: only the last one is ever retried.
    let mut star = None;
    loop {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
            continue;
        }
        let step = match text.get(t) {
            None if p == pattern.len() => return true,
            None => None,
            Some(character) => one(&pattern[p..], *character),
        };
        match (step, star) {
            (Some(length), _) => {
                p += length;
                t += 1;
            }
            (None, Some((at, taken))) if taken < text.len() => {
                star = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
            (None, _) => return false,
        }
    }
}

/// How long the start of a pattern is that matches a character, if it does.
fn one(pattern: &[char], character: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == character).then_some(2),
        ['[', rest @ ..] => match class(rest, character) {
            Some((found, length)) => found.then_some(length + 1),
            // An open bracket is an ordinary character.
            None => (character == '[').then_some(1),
        },
        [literal, ..] => (*literal == character).then_some(1),
        [] => None,
    }
}

/// Whether a character is in the class after a bracket, and the length of the class with its closing bracket.
fn class(rest: &[char], character: char) -> Option<(bool, usize)> {
    let negated = matches!(rest.first(), Some('!' | '^'));
    let mut index = usize::from(negated);
    let start = index;
    let mut found = false;
    loop {
        let from = *rest.get(index)?;
        if from == ']' && index > start {
            return Some((found != negated, index + 1));
        }
        match (rest.get(index + 1), rest.get(index + 2)) {
            (Some('-'), Some(to)) if *to != ']' => {
                found |= (from..=*to).contains(&character);
                index += 3;
            }
            _ => {
                found |= from == character;
                index += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_the_shells() {
        let yes = [
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*c", "abbc"),
            ("a*b*c", "aXbYbZc"),
            ("?", "é"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("\\*", "*"),
            ("[", "["),
            ("node-[0-9]*", "node-7b"),
            ("a[b", "a[b"),
        ];
        assert_eq!(
            yes.iter().filter(|(pattern, text)| !matches(pattern, text)).collect::<Vec<_>>(),
            [&("", ""); 0]
        );
        let no = [
            ("", "a"),
            ("a", ""),
            ("a*c", "abd"),
            ("?", ""),
            ("[a-c]", "d"),
            ("[!a-c]", "b"),
            ("\\*", "a"),
            ("ab", "abc"),
        ];
        assert_eq!(
            no.iter().filter(|(pattern, text)| matches(pattern, text)).collect::<Vec<_>>(),
            [&("", ""); 0]
        );
        assert!(!matches(&"*a".repeat(2000), &"a".repeat(1999)), "and without taking forever");
    }
}
