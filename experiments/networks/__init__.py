"""What hidden layers can do, and the symmetries that they bring."""
