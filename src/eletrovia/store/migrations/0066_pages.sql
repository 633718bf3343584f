-- Pages that staff turns over all meters and all bills, newest first: a page costs a page, however many there are.

CREATE INDEX invoice_newest_idx ON invoice (starts_on, id);
CREATE INDEX mark_newest_idx ON mark (at);
