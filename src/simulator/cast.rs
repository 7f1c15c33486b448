//! Who takes part: bots of different volume and teams of different speed.

use std::sync::Arc;

/// A bot and the teams behind it.
#[derive(Clone, Debug)]
pub struct Bot {
    /// `bot.name`.
    pub name: Arc<str>,
    /// Its share of the traffic, relative to the other bots.
    pub weight: f64,
    /// Indices into [`Cast::teams`]; the first is the busiest.
    pub teams: Vec<usize>,
}

/// A team and its habits.
#[derive(Clone, Debug)]
pub struct Team {
    /// `assignationMethod.teamName`.
    pub name: Arc<str>,
    /// Half of its first replies come within so many milliseconds.
    pub reply_median: f64,
    /// How much its reply times scatter (standard deviation of their logarithm).
    pub reply_spread: f64,
    /// Half of its conversations last so many milliseconds after the first reply.
    pub handling_median: f64,
    /// The share of conversations that it never answers.
    pub silence: f64,
}

/// All bots and teams of a simulated company.
#[derive(Clone, Debug)]
pub struct Cast {
    /// At least one.
    pub bots: Vec<Bot>,
    /// At least one.
    pub teams: Vec<Team>,
}

const MINUTE: f64 = 60_000.0;

impl Default for Cast {
    fn default() -> Self {
        let team = |name: &str, reply: f64, reply_spread, handling: f64, silence| Team {
            name: name.into(),
            reply_median: reply * MINUTE,
            reply_spread,
            handling_median: handling * MINUTE,
            silence,
        };
        let bot = |name: &str, weight, teams: &[usize]| Bot { name: name.into(), weight, teams: teams.to_vec() };
        Self {
            bots: vec![
                bot("Tienda WhatsApp 🛒", 6.0, &[0, 1, 2]),
                bot("Banca Móvil", 3.0, &[1, 2, 4]),
                bot("Jelou Dev WhatsApp", 1.0, &[3, 1]),
            ],
            teams: vec![
                team("Ventas", 0.7, 0.9, 7.0, 0.03),
                team("Soporte", 2.5, 1.0, 14.0, 0.06),
                team("Cobranzas", 4.0, 1.2, 9.0, 0.12),
                team("Frontend", 9.0, 1.1, 35.0, 0.10),
                team("Atención VIP ⭐", 0.3, 0.6, 11.0, 0.01),
            ],
        }
    }
}

impl Cast {
    /// `bots` x `teams` pairs, each bot with every team; for tests of many label sets.
    pub fn wide(bots: usize, teams: usize) -> Self {
        let plain = Self::default();
        Self {
            bots: (0..bots.max(1))
                .map(|bot| Bot { name: format!("Bot {bot}").into(), weight: 1.0, teams: (0..teams.max(1)).collect() })
                .collect(),
            teams: (0..teams.max(1))
                .map(|team| Team {
                    name: format!("Equipo {team}").into(),
                    ..plain.teams[team % plain.teams.len()].clone()
                })
                .collect(),
        }
    }
}
