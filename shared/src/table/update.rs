use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{
    FailedCheck, Item, Key, Table, TableError,
    item::{Attributes, from_attributes},
};

/// Changes to single attributes of one item, for values that several writers move at once.
#[derive(Debug)]
pub struct Update {
    label: &'static str,
    key: Key,
    sets: Vec<String>,
    adds: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
    names: Vec<(String, String)>,
    values: Vec<(String, AttributeValue)>,
}

impl Update {
    /// A change to the item with this key, which must exist; a failed condition carries `label`.
    pub fn existing(label: &'static str, key: Key) -> Self {
        Self { conditions: vec!["attribute_exists(pk)".into()], ..Self::anyway(label, key) }
    }

    /// A change to the item with this key, which is made if it does not exist.
    pub fn anyway(label: &'static str, key: Key) -> Self {
        Self {
            label,
            key,
            sets: Vec::new(),
            adds: Vec::new(),
            removes: Vec::new(),
            conditions: Vec::new(),
            names: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Gives an attribute a value.
    #[must_use]
    pub fn set(mut self, attribute: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(value));
        self.sets.push(format!("{name} = {value}"));
        self
    }

    /// Adds to a number; an absent attribute counts as 0.
    #[must_use]
    pub fn add(mut self, attribute: &str, amount: i64) -> Self {
        let (name, value) = (self.name(attribute), self.value(AttributeValue::N(amount.to_string())));
        self.adds.push(format!("{name} {value}"));
        self
    }

    #[must_use]
    pub fn remove(mut self, attribute: &str) -> Self {
        let name = self.name(attribute);
        self.removes.push(name);
        self
    }

    /// Requires `attribute <operator> value`, with an operator of DynamoDB's condition expressions.
    #[must_use]
    pub fn require(mut self, attribute: &str, operator: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(value));
        self.conditions.push(format!("{name} {operator} {value}"));
        self
    }

    /// Requires a number to be below `limit`; an absent attribute is.
    #[must_use]
    pub fn require_below(mut self, attribute: &str, limit: u64) -> Self {
        let (name, value) = (self.name(attribute), self.value(AttributeValue::N(limit.to_string())));
        self.conditions.push(format!("(attribute_not_exists({name}) OR {name} < {value})"));
        self
    }

    /// Requires a number to be above `limit`; an absent attribute is.
    #[must_use]
    pub fn require_above(mut self, attribute: &str, limit: u64) -> Self {
        let (name, value) = (self.name(attribute), self.value(AttributeValue::N(limit.to_string())));
        self.conditions.push(format!("(attribute_not_exists({name}) OR {name} > {value})"));
        self
    }

    /// Requires the item to have no such attribute.
    #[must_use]
    pub fn require_absent(mut self, attribute: &str) -> Self {
        let name = self.name(attribute);
        self.conditions.push(format!("attribute_not_exists({name})"));
        self
    }

    fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#n{}", self.names.len());
        self.names.push((placeholder.clone(), attribute.to_owned()));
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.push((placeholder.clone(), value));
        placeholder
    }
}

/// An update as DynamoDB is told of it.
pub(super) struct Expressions {
    pub label: &'static str,
    pub key: Key,
    pub change: String,
    /// Empty without conditions.
    pub condition: String,
    pub names: Vec<(String, String)>,
    pub values: Vec<(String, AttributeValue)>,
}

impl Update {
    pub(super) fn expressions(self) -> Expressions {
        let Self { label, key, sets, adds, removes, conditions, names, values } = self;
        let verbs = [("SET", sets), ("ADD", adds), ("REMOVE", removes)];
        let verbs = verbs.iter().filter(|(_, parts)| !parts.is_empty());
        let change: Vec<_> = verbs.map(|(verb, parts)| format!("{verb} {}", parts.join(", "))).collect();
        Expressions { label, key, change: change.join(" "), condition: conditions.join(" AND "), names, values }
    }
}

impl Table {
    /// Changes single attributes of one item and answers with the item as it then is: one UpdateItem, for
    /// values that many writers move at once, which in transactions would make each other fail.
    pub async fn update<T: Item>(&self, update: Update) -> Result<T, TableError> {
        from_attributes(self.change(update, ReturnValue::AllNew).await?)
    }

    /// Changes single attributes of one item, as [`Table::update`] does, whatever else is in it.
    pub async fn apply(&self, update: Update) -> Result<(), TableError> {
        self.change(update, ReturnValue::None).await.map(|_| ())
    }

    async fn change(&self, update: Update, answer: ReturnValue) -> Result<Attributes, TableError> {
        let Expressions { label, key, change, condition, names, values } = update.expressions();
        let request = self
            .client
            .update_item()
            .table_name(&*self.name)
            .set_key(Some(key.attributes()))
            .update_expression(change)
            .set_condition_expression(Some(condition).filter(|condition| !condition.is_empty()))
            .set_expression_attribute_names(Some(names.into_iter().collect()))
            .set_expression_attribute_values(
                Some(values.into_iter().collect()).filter(|values: &Attributes| !values.is_empty()),
            )
            .return_values(answer)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(updated) => Ok(updated.attributes.unwrap_or_default()),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Err(TableError::Failed(vec![FailedCheck { label, existing: failed.item().cloned() }]))
                }
                Some(UpdateItemError::TransactionConflictException(_)) => Err(TableError::Contended),
                _ => Err(TableError::unavailable(error)),
            },
        }
    }
}
