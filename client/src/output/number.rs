//! Numbers for people: as many digits as mean something, and no more.

/// A number without a margin: up to six significant digits.
pub fn plain(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    if value == value.trunc() && value.abs() < 1e12 {
        // Plus zero makes a plain zero of a negative one.
        return format!("{:.0}", value + 0.0);
    }
    let digits = 5 - value.abs().log10().floor().clamp(-6.0, 5.0) as i32;
    trim(format!("{value:.*}", digits.max(0) as usize))
}

/// A value and its interval: `± margin` where the interval lies evenly around the value, else `low to high`. Both are cut
/// where the margin has two significant digits.
pub fn estimate(value: Option<f64>, low: Option<f64>, high: Option<f64>) -> (String, String) {
    let finite = |x: Option<f64>| x.filter(|x| x.is_finite());
    let (value, low, high) = (finite(value), finite(low), finite(high));
    let (Some(low), Some(high)) = (low, high) else {
        return (value.map_or("-".to_owned(), plain), "not bounded".to_owned());
    };
    let margin = (high - low) / 2.0;
    if margin <= 0.0 {
        return (value.map_or("-".to_owned(), plain), String::new());
    }
    let digits = (1 - margin.log10().floor() as i32).clamp(0, 9) as usize;
    let even = value.is_some_and(|value| ((high - value) - (value - low)).abs() <= 0.05 * margin);
    let interval = if even {
        format!("± {margin:.digits$}")
    } else {
        format!("{low:.digits$} to {high:.digits$}")
    };
    (
        value.map_or("-".to_owned(), |value| format!("{value:.digits$}")),
        interval,
    )
}

fn trim(text: String) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_shows_the_digits_that_its_interval_leaves_meaning() {
        let shown = |value: f64, low: f64, high: f64| {
            let (value, interval) = estimate(Some(value), Some(low), Some(high));
            format!("{value} {interval}")
        };
        assert_eq!(shown(246.2643, 244.4294, 248.0992), "246.3 ± 1.8");
        assert_eq!(shown(300.4, 287.2, 313.6), "300 ± 13");
        assert_eq!(shown(0.123456, 0.123, 0.123912), "0.12346 ± 0.00046");
        assert_eq!(shown(150.0, 149.0, 155.0), "150.0 149.0 to 155.0");
        assert_eq!(shown(5.0, 5.0, 5.0), "5 ");
        assert_eq!(estimate(None, None, Some(1.0)), ("-".into(), "not bounded".into()));
        assert_eq!(
            estimate(None, Some(0.0), Some(1.0)),
            ("-".into(), "0.00 to 1.00".into())
        );
    }

    #[test]
    fn a_plain_number_has_no_idle_zeros() {
        assert_eq!(plain(3.0), "3");
        assert_eq!(plain(0.5), "0.5");
        assert_eq!(plain(1234.5678), "1234.57");
        assert_eq!(plain(0.000_012_345_678), "0.0000123457");
        assert_eq!(plain(f64::INFINITY), "-");
    }
}
