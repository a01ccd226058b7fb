-- Whether something is left of an account is found without a look at everybody's commands.
CREATE INDEX commands_of_account ON commands (account_id);
