-- Meters of the classroom that come by TCP are given running numbers, each once, for good.

CREATE SEQUENCE classroom_meter_number AS integer;

-- Two numbers finer than a Wh, told for one moment, are two readings.
ALTER TABLE reading_conflict DROP CONSTRAINT reading_conflict_once;
ALTER TABLE reading_conflict
    ADD CONSTRAINT reading_conflict_once UNIQUE NULLS NOT DISTINCT (meter, at, energy_wh, sent_kwh);
