//! The pinned date of chat templates, and Python's `strftime` for it.

/// A day of the Gregorian calendar; the time of day is always midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    year: u32,
    month: u32,
    day: u32,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Date {
    /// Reads `YYYY-MM-DD`; `None` unless that day exists.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let mut numbers = text.split('-').map(|number| number.parse::<u32>().ok());
        let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let exists = shape && (1..=12).contains(&month) && (1..=days(year, month)).contains(&day);
        exists.then_some(Self { year, month, day })
    }

    /// The day in a format of Python's `strftime` (the C locale). `Err` is the directive that is not known here.
    pub(super) fn format(self, format: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                out.push(char);
                continue;
            }
            let mut directive = chars.next().unwrap_or('%');
            let padded = directive != '-';
            if !padded {
                directive = chars.next().unwrap_or('-');
            }
            let number = |value: u32, width: usize| if padded { format!("{value:0width$}") } else { value.to_string() };
            let text = match directive {
                'Y' => number(self.year, 4),
                'y' => number(self.year % 100, 2),
                'm' => number(self.month, 2),
                'd' => number(self.day, 2),
                'e' => format!("{:>2}", self.day),
                'j' => number(self.of_year(), 3),
                'B' => self.month_name().to_owned(),
                'b' | 'h' => self.month_name().chars().take(3).collect(),
                'A' => self.weekday_name().to_owned(),
                'a' => self.weekday_name().chars().take(3).collect(),
                'w' => self.weekday().to_string(),
                'H' | 'M' | 'S' => number(0, 2),
                'I' => number(12, 2),
                'p' => "AM".to_owned(),
                'F' => format!("{:04}-{:02}-{:02}", self.year, self.month, self.day),
                'T' | 'X' => "00:00:00".to_owned(),
                'x' | 'D' => format!("{:02}/{:02}/{:02}", self.month, self.day, self.year % 100),
                '%' => "%".to_owned(),
                other => return Err(format!("%{other}")),
            };
            out += &text;
        }
        Ok(out)
    }

    fn of_year(self) -> u32 {
        (1..self.month).map(|month| days(self.year, month)).sum::<u32>() + self.day
    }

    /// 0 is Sunday. The day number since 1 January of year 1, a Monday, modulo 7.
    fn weekday(self) -> u32 {
        let past = self.year.saturating_sub(1);
        (past + past / 4 - past / 100 + past / 400 + self.of_year()) % 7
    }

    fn month_name(self) -> &'static str {
        MONTHS.get(self.month as usize - 1).copied().unwrap_or_default()
    }

    fn weekday_name(self) -> &'static str {
        WEEKDAYS.get(self.weekday() as usize).copied().unwrap_or_default()
    }
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// from datetime import datetime
    /// for d in ("2026-11-23", "2024-02-29", "2000-12-31", "1900-03-01"):
    ///     print(datetime.fromisoformat(d).strftime("%A %a %d %b %B %Y %y %j %w %-d/%-m %H:%M:%S %I %p %e %%"))
    /// ```
    #[test]
    fn formats_as_python_does() {
        for (day, text) in [
            ("2026-11-23", "Monday Mon 23 Nov November 2026 26 327 1 23/11 00:00:00 12 AM 23 %"),
            ("2024-02-29", "Thursday Thu 29 Feb February 2024 24 060 4 29/2 00:00:00 12 AM 29 %"),
            ("2000-12-31", "Sunday Sun 31 Dec December 2000 00 366 0 31/12 00:00:00 12 AM 31 %"),
            ("1900-03-01", "Thursday Thu 01 Mar March 1900 00 060 4 1/3 00:00:00 12 AM  1 %"),
        ] {
            let format = "%A %a %d %b %B %Y %y %j %w %-d/%-m %H:%M:%S %I %p %e %%";
            assert_eq!(Date::parse(day).unwrap().format(format).unwrap(), text);
        }
    }

    #[test]
    fn refuses_days_that_do_not_exist_and_directives_that_it_does_not_know() {
        for text in ["2023-02-29", "2024-13-01", "2024-00-10", "2024-1-1", "24-01-01", "2024-01-0a", "", "2024-01-32"] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert_eq!(Date::parse("2024-02-29").unwrap().format("%Q"), Err("%Q".into()));
    }
}
