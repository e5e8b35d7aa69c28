//! The figures of the dashboard, as sums over what is known of each user, order and payment.
//!
//! Events come late and in any order. Each is remembered where it belongs, as a fact that never turns
//! false again, and the figures move by what the facts say now less what they said before: so they
//! are those of a recount, whatever the order.

use std::ops::{AddAssign, Sub};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::event::OrderStatus;

/// The figures of the business, in counts and minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    pub users: i64,
    pub orders: i64,
    /// Orders that are placed and not paid.
    pub pending: i64,
    pub completed: i64,
    /// Money taken and not given back.
    pub revenue: i64,
}

impl Figures {
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.users += other.users;
        self.orders += other.orders;
        self.pending += other.pending;
        self.completed += other.completed;
        self.revenue += other.revenue;
    }
}

impl Sub for Figures {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            users: self.users - other.users,
            orders: self.orders - other.orders,
            pending: self.pending - other.pending,
            completed: self.completed - other.completed,
            revenue: self.revenue - other.revenue,
        }
    }
}

/// What is known of one user, order or payment.
pub trait Facts: Clone + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync {
    /// What it is: `order`.
    const TYPE: &'static str;

    /// What it adds to the figures.
    fn figures(&self) -> Figures;
}

/// What is known of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFacts {
    #[serde(default)]
    pub created: bool,
    #[serde(default)]
    pub deleted: bool,
    /// Orders of theirs that were placed.
    #[serde(default)]
    pub orders: u64,
}

impl Facts for UserFacts {
    const TYPE: &'static str = "user";

    fn figures(&self) -> Figures {
        Figures { users: i64::from(self.created && !self.deleted), ..Figures::default() }
    }
}

/// What is known of one order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFacts {
    #[serde(default)]
    pub created: bool,
    /// It was paid or cancelled.
    #[serde(default)]
    pub settled: bool,
    #[serde(default)]
    pub completed: bool,
}

impl OrderFacts {
    /// The order moved on to this status.
    pub fn reached(&mut self, status: OrderStatus) {
        self.settled |= status != OrderStatus::Pending;
        self.completed |= status == OrderStatus::Completed;
    }
}

impl Facts for OrderFacts {
    const TYPE: &'static str = "order";

    fn figures(&self) -> Figures {
        Figures {
            orders: i64::from(self.created),
            pending: i64::from(self.created && !self.settled),
            completed: i64::from(self.created && self.completed),
            ..Figures::default()
        }
    }
}

/// What is known of one payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentFacts {
    /// What was taken, in minor units.
    #[serde(default)]
    pub taken: i64,
    #[serde(default)]
    pub refunded: bool,
}

impl Facts for PaymentFacts {
    const TYPE: &'static str = "payment";

    /// Money may be given back that was never said to be taken: that of a payment which the provider
    /// charged after it had been given up.
    fn figures(&self) -> Figures {
        Figures { revenue: if self.refunded { 0 } else { self.taken }, ..Figures::default() }
    }
}
