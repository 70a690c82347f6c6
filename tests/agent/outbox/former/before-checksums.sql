BEGIN TRANSACTION;
CREATE TABLE command(
  key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, utc REAL NOT NULL, request TEXT NOT NULL,
  done INTEGER NOT NULL, text TEXT NOT NULL);
CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cursor(
  name TEXT PRIMARY KEY, key INTEGER NOT NULL, ahead TEXT NOT NULL DEFAULT '[]') WITHOUT ROWID;
CREATE TABLE monitor(name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "monitor" VALUES('fan','{"version":1,"monitor":"former/fan","bundle":"03ba38da72d357a0c032885e769e2c21f112041ad84408947fe84438ba337aa0","seq":1,"phase":"active","alarm_id":"fd7a5c465e18d7807d652919","announced":true,"raised_utc":1795771221.516479,"last_raised_utc":1795771221.516479,"records":true,"awaited":[{"alarm_id":"fd7a5c465e18d7807d652919","evidence_id":"20261127T092021Z-fd7a5c465e18d7807d652919"}],"evidence_id":null,"votes":[false,false,false,true,true,true],"below":0,"doubtful":[],"runs_from":null,"invalid":0,"unscored":0,"stale":false,"suspended":false,"out_of_service":false,"shelving":null,"told_class":0,"since_told":0.0,"heard":145.0,"severity":174,"highest_severity":174,"past":[],"newest":{"index":27,"start":135.0,"end":145.0,"utc_start":1795771211.5052035,"utc_end":1795771221.5052035,"verdict":"scored","suspect":false,"reasons":[],"score":5.404220110334763,"threshold":4.669020061314051,"clear_level":4.169020061314051,"spread":1.0,"domain":"source","provisional":false,"experts":{"autoencoder":5.404220110334763},"explanation":{"text":"2.4–2.7 kHz throughout","bands_hz":[[2418.1709862409148,2661.0635397323767]],"times_s":[],"period_s":null}},"touched":61657.181197121,"boot_id":"3db54971-16d1-4b2b-9b27-2eafdcbfcf2c"}');
CREATE TABLE outbox(
  key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, payload TEXT NOT NULL,
  vital INTEGER NOT NULL, stored_utc REAL NOT NULL, stored_monotonic REAL NOT NULL, boot_id TEXT NOT NULL,
  sent_utc REAL);
INSERT INTO "outbox" VALUES(1,'2408cc15f87b0680eb968777','asd/former/monitor/fan/alert','{"schema":"asd.alert/1","id":"2408cc15f87b0680eb968777","alarm_id":"fd7a5c465e18d7807d652919","seq":1,"event":"raised","state":"active","machine":"fan","section":"00","domain":"source","window_start":"2026-11-27T09:20:11.505Z","window_end":"2026-11-27T09:20:21.505Z","score":5.404220110334763,"threshold":4.669020061314051,"severity":174,"experts":{"autoencoder":5.404220110334763},"explanation":{"text":"2.4–2.7 kHz throughout","bands_hz":[[2418.1709862409148,2661.0635397323767]],"times_s":[],"period_s":null},"quality":{"verdict":"scored","suspect":false,"reasons":[]},"bundle":"03ba38da72d357a0c032885e769e2c21f112041ad84408947fe84438ba337aa0","boot_id":"3db54971-16d1-4b2b-9b27-2eafdcbfcf2c","clock":"unsynchronised","late":false,"durable":true,"provisional":false,"evidence_id":"20261127T092021Z-fd7a5c465e18d7807d652919","evidence":null,"time":"2026-11-27T09:20:21.516Z","agent":"former","monitor":"fan","by":null,"note":null,"verdict":null,"label":null,"test":false}',1,1.79577122151708579059e+09,61657.181802437,'3db54971-16d1-4b2b-9b27-2eafdcbfcf2c',NULL);
CREATE TABLE retained(topic TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO "retained" VALUES('asd/former/health');
INSERT INTO "retained" VALUES('asd/former/monitor/fan/state');
INSERT INTO "retained" VALUES('asd/former/source/recording/state');
CREATE INDEX waiting ON outbox(key) WHERE sent_utc IS NULL;
CREATE INDEX sent ON outbox(key) WHERE sent_utc IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',1);
COMMIT;
PRAGMA user_version=1;
