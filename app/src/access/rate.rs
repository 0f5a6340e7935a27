//! [`Limiter`]: how much one client may ask for, as a bucket of tokens that refills steadily. It remembers
//! a bounded number of clients: whoever has not come for longest is forgotten, and starts afresh.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::problem::{Code, Refusal};
use tokio::time::Instant;

use super::Pseudonym;

/// Clients of one generation: with two of them, about 6 MB.
const MOST: usize = 1 << 16;

/// So many requests at once, and per that time in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate = text.split_once('/').and_then(|(count, per)| {
            let per = match per {
                "s" => Duration::from_secs(1),
                "m" => Duration::from_mins(1),
                _ => return None,
            };
            let count = count.parse().ok().filter(|count| (1..=1_000_000).contains(count))?;
            Some(Self { count, per })
        });
        rate.ok_or_else(|| format!("`{text}` is not like 50/s or 600/m"))
    }
}

/// When each client's bucket will be full again.
#[derive(Debug, Default)]
struct Clients {
    recent: HashMap<Pseudonym, Instant>,
    older: HashMap<Pseudonym, Instant>,
}

#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    most: usize,
    clients: Mutex<Clients>,
}

impl Limiter {
    pub fn new(rate: Rate) -> Self {
        Self { rate, most: MOST, clients: Mutex::default() }
    }

    /// Takes one token of the client's, or tells when there will be one.
    pub fn take(&self, client: Pseudonym, now: Instant) -> Result<(), Refusal> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let full = clients.full_again(client, self.most).map_or(now, |full| full.max(now));
        let filled = full + self.rate.per / self.rate.count;
        let wait = filled.duration_since(now).saturating_sub(self.rate.per);
        clients.recent.insert(client, if wait.is_zero() { filled } else { full });
        if wait.is_zero() {
            return Ok(());
        }
        let Rate { count, per } = self.rate;
        let detail = format!("more than {count} requests in {} s", per.as_secs());
        let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        Err(Refusal::new(Code::RateLimited, detail).after(seconds))
    }
}

impl Clients {
    fn full_again(&mut self, client: Pseudonym, most: usize) -> Option<Instant> {
        let known = self.recent.get(&client).copied().or_else(|| self.older.remove(&client));
        if self.recent.len() >= most && !self.recent.contains_key(&client) {
            self.older = std::mem::take(&mut self.recent);
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Pseudonym = Pseudonym(1);

    fn limiter(rate: &str) -> Limiter {
        Limiter::new(rate.parse().unwrap())
    }

    /// How many of a hundred requests at that time pass.
    fn passing(limiter: &Limiter, client: Pseudonym, now: Instant) -> usize {
        (0..100).filter(|_| limiter.take(client, now).is_ok()).count()
    }

    #[test]
    fn a_client_has_its_count_at_once_and_then_as_many_as_time_brings() {
        let (limiter, start) = (limiter("10/s"), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        for (now, expected) in
            [(0, 10), (0, 0), (99, 0), (100, 1), (450, 3), (500, 1), (60_000, 10), (59_000, 0)]
        {
            assert_eq!(passing(&limiter, CLIENT, after(now)), expected, "after {now} ms");
        }
        assert_eq!(passing(&limiter, Pseudonym(2), start), 10, "another client has its own");
    }

    #[test]
    fn a_refusal_tells_after_how_many_seconds_to_come_again() {
        let (limiter, start) = (limiter("6/m"), Instant::now());
        passing(&limiter, CLIENT, start);
        let refusal = limiter.take(CLIENT, start).unwrap_err();
        assert_eq!((refusal.code, refusal.retry_after()), (Code::RateLimited, Some(10)));
        assert!(limiter.take(CLIENT, start + Duration::from_secs(10)).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_whoever_keeps_coming_is_not_forgotten() {
        let limiter = Limiter { most: 10, ..limiter("1/m") };
        let now = Instant::now();
        assert_eq!(passing(&limiter, CLIENT, now), 1);
        for other in 2..1000 {
            assert!(limiter.take(Pseudonym(other), now).is_ok());
            assert!(limiter.take(CLIENT, now).is_err());
            let clients = limiter.clients.lock().unwrap();
            assert!(clients.recent.len() + clients.older.len() <= 21);
        }
    }

    #[test]
    fn rates_read_as_people_write_them() {
        let minute = Duration::from_mins(1);
        assert_eq!("600/m".parse(), Ok(Rate { count: 600, per: minute }));
        for wrong in ["", "50", "0/s", "-1/s", "50/h", "50 / s", "1.5/s", "1000001/s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
