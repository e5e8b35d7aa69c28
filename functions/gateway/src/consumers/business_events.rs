//! Keeps the dashboard's figures, for dozens of events in one transaction.

use std::collections::BTreeMap;

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, BatchConsumer, ConsumerError, Delivery, Group},
    event::{
        Envelope, OrderCancelled, OrderCreated, OrderStatus, OrderStatusChanged, Payload, PaymentCompleted,
        PaymentRefunded, UserCreated, UserDeleted,
    },
    id::Id,
    money::Money,
    runtime::Function,
    table::{Table, Transaction},
};

use crate::{
    figures::{Facts, Figures, OrderFacts, PaymentFacts, UserFacts},
    store::{self, Known},
};

/// Events in one transaction: for each an inbox record and at worst two items more, and one with the
/// figures, of the hundred that a transaction may write.
const LIMIT: usize = 33;

pub struct BusinessEvents {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::batches(BusinessEvents { table: Table::from_env()? }))
}

/// What an event means for the figures.
enum News {
    UserCreated(Id),
    UserDeleted(Id),
    OrderPlaced { order_id: Id, user_id: Id },
    OrderReached(Id, OrderStatus),
    MoneyTaken(Id, Money),
    MoneyGivenBack(Id),
}

impl News {
    fn of(event: &Envelope) -> Result<Self, ConsumerError> {
        Ok(match event.event_type.as_str() {
            UserCreated::TYPE => Self::UserCreated(event.payload::<UserCreated>()?.user_id),
            UserDeleted::TYPE => Self::UserDeleted(event.payload::<UserDeleted>()?.user_id),
            OrderCreated::TYPE => {
                let OrderCreated { order_id, user_id, .. } = event.payload()?;
                Self::OrderPlaced { order_id, user_id }
            }
            OrderStatusChanged::TYPE => {
                let changed: OrderStatusChanged = event.payload()?;
                Self::OrderReached(changed.order_id, changed.to)
            }
            OrderCancelled::TYPE => {
                Self::OrderReached(event.payload::<OrderCancelled>()?.order_id, OrderStatus::Cancelled)
            }
            PaymentCompleted::TYPE => {
                let completed: PaymentCompleted = event.payload()?;
                Self::MoneyTaken(completed.payment_id, completed.amount)
            }
            PaymentRefunded::TYPE => Self::MoneyGivenBack(event.payload::<PaymentRefunded>()?.payment_id),
            other => return Err(ConsumerError::Rejected(format!("{other} is nothing to the dashboard"))),
        })
    }
}

#[async_trait]
impl BatchConsumer for BusinessEvents {
    fn name(&self) -> &'static str {
        "business-events"
    }

    fn limit(&self) -> usize {
        LIMIT
    }

    /// All events move the same figures.
    fn group(&self, event: &Envelope) -> Result<Group, ConsumerError> {
        News::of(event).map(|_| Group { lane: "figures".into(), name: "figures".into() })
    }

    async fn handle(&self, deliveries: &[Delivery]) -> Result<(), ConsumerError> {
        let news = deliveries.iter().map(|delivery| News::of(&delivery.event)).collect::<Result<Vec<_>, _>>()?;
        let mut business = Business::read(&self.table, &news).await?;
        news.iter().for_each(|news| business.learn(news));
        let transaction = deliveries.iter().fold(Transaction::new(), Transaction::once);
        Ok(self.table.commit(business.saved(transaction)).await?)
    }
}

/// What is known of everything that some events are about.
struct Business {
    users: Changes<UserFacts>,
    orders: Changes<OrderFacts>,
    payments: Changes<PaymentFacts>,
}

impl Business {
    /// At most three BatchGetItems at the same time.
    async fn read(table: &Table, news: &[News]) -> Result<Self, ConsumerError> {
        let users = news.iter().filter_map(|news| match news {
            News::UserCreated(id) | News::UserDeleted(id) | News::OrderPlaced { user_id: id, .. } => Some(*id),
            _ => None,
        });
        let orders = news.iter().filter_map(|news| match news {
            News::OrderPlaced { order_id: id, .. } | News::OrderReached(id, _) => Some(*id),
            _ => None,
        });
        let payments = news.iter().filter_map(|news| match news {
            News::MoneyTaken(id, _) | News::MoneyGivenBack(id) => Some(*id),
            _ => None,
        });
        let (users, orders, payments) = tokio::try_join!(
            Changes::read(table, users),
            Changes::read(table, orders),
            Changes::read(table, payments)
        )?;
        Ok(Self { users, orders, payments })
    }

    fn learn(&mut self, news: &News) {
        match news {
            News::UserCreated(id) => self.users.of(*id).created = true,
            News::UserDeleted(id) => self.users.of(*id).deleted = true,
            News::OrderPlaced { order_id, user_id } => {
                let order = self.orders.of(*order_id);
                if !order.created {
                    order.created = true;
                    self.users.of(*user_id).orders += 1;
                }
            }
            News::OrderReached(id, status) => self.orders.of(*id).reached(*status),
            News::MoneyTaken(id, amount) => self.payments.of(*id).taken = amount.minor_units(),
            News::MoneyGivenBack(id) => self.payments.of(*id).refunded = true,
        }
    }

    fn saved(&self, transaction: Transaction) -> Transaction {
        let mut moved = self.users.figures();
        moved += self.orders.figures();
        moved += self.payments.figures();
        let transaction = self.users.saved(transaction);
        let transaction = self.orders.saved(transaction);
        store::move_figures(self.payments.saved(transaction), &moved)
    }
}

/// Facts before and after some events.
struct Changes<F>(BTreeMap<Id, (Known<F>, F)>);

impl<F: Facts> Changes<F> {
    async fn read(table: &Table, ids: impl Iterator<Item = Id>) -> Result<Self, ConsumerError> {
        let mut all: BTreeMap<Id, Known<F>> = ids.map(|id| (id, Known::nothing(id))).collect();
        for known in store::known(table, all.clone().into_keys()).await? {
            all.insert(known.id, known);
        }
        let changes = all.into_iter().map(|(id, known)| (id, (known.clone(), known.facts)));
        Ok(Self(changes.collect()))
    }

    /// The facts about this one as they will be.
    fn of(&mut self, id: Id) -> &mut F {
        let (_, after) = self.0.entry(id).or_insert_with(|| (Known::nothing(id), F::default()));
        after
    }

    fn changed(&self) -> impl Iterator<Item = &(Known<F>, F)> {
        self.0.values().filter(|(before, after)| before.facts != *after)
    }

    fn figures(&self) -> Figures {
        self.changed().fold(Figures::default(), |mut sum, (before, after)| {
            sum += after.figures() - before.facts.figures();
            sum
        })
    }

    fn saved(&self, transaction: Transaction) -> Transaction {
        self.changed().fold(transaction, |transaction, (before, after)| store::save(transaction, before, after))
    }
}
