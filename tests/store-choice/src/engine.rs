//! The candidates behind one face, each as its own documentation says for durable commits.

use std::path::Path;

use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Readable};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};

/// Their names on the command line: fjall as it is and with large values in files of their own, redb as it is and with
/// what makes its recovery quick.
pub const ENGINES: [&str; 4] = ["fjall", "fjall-blobs", "redb", "redb-quick"];

pub trait Engine {
    /// Writes and deletes, then one fsync.
    fn commit(&self, put: &[(Vec<u8>, Vec<u8>)], delete: &[Vec<u8>]) -> Result<(), String>;
    /// Every entry in order, through `each`.
    fn scan(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String>;
    /// Gives back what deleted entries took, as far as the library does so while it is in use.
    fn tidy(&self) -> Result<(), String>;
}

pub fn open(name: &str, path: &Path) -> Result<Box<dyn Engine>, String> {
    match name {
        "fjall" | "fjall-blobs" => {
            Fjall::open(path, name == "fjall-blobs").map(|engine| Box::new(engine) as Box<dyn Engine>)
        }
        _ => Redb::open(path, name == "redb-quick").map(|engine| Box::new(engine) as Box<dyn Engine>),
    }
}

struct Fjall {
    database: Database,
    space: Keyspace,
}

impl Fjall {
    fn open(path: &Path, blobs: bool) -> Result<Self, String> {
        let database = Database::builder(path.join("db"))
            .max_journaling_size(128 << 20)
            .worker_threads(2)
            .manual_journal_persist(true)
            .open()
            .map_err(|error| error.to_string())?;
        let separate = KvSeparationOptions::default().separation_threshold(256).file_target_size(32 << 20);
        let options = || {
            let options = KeyspaceCreateOptions::default().max_memtable_size(32 << 20);
            options.with_kv_separation(blobs.then_some(separate))
        };
        let space = database.keyspace("messages", options).map_err(|error| error.to_string())?;
        Ok(Self { database, space })
    }
}

impl Engine for Fjall {
    fn commit(&self, put: &[(Vec<u8>, Vec<u8>)], delete: &[Vec<u8>]) -> Result<(), String> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (key, value) in put {
            batch.insert(&self.space, key.clone(), value.clone());
        }
        for key in delete {
            batch.remove(&self.space, key.clone());
        }
        batch.commit().map_err(|error| error.to_string())
    }

    fn scan(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String> {
        for entry in self.database.snapshot().iter(&self.space) {
            let (key, value) = entry.into_inner().map_err(|error| error.to_string())?;
            each(&key, &value);
        }
        Ok(())
    }

    fn tidy(&self) -> Result<(), String> {
        self.space.rotate_memtable_and_wait().map_err(|error| error.to_string())?;
        // It does nothing while another thread merges some of the tables.
        for _ in 0..100 {
            self.space.major_compact().map_err(|error| error.to_string())?;
            if self.space.tree.tombstone_count() == 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        // Old tables go when a new one is begun in memory.
        self.commit(&[(b"tidy".to_vec(), Vec::new())], &[])?;
        self.space.rotate_memtable_and_wait().map_err(|error| error.to_string())
    }
}

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("messages");

struct Redb {
    database: redb::Database,
    quick_repair: bool,
}

impl Redb {
    fn open(path: &Path, quick_repair: bool) -> Result<Self, String> {
        let database = redb::Builder::new()
            .set_cache_size(64 << 20)
            .create(path.join("db.redb"))
            .map_err(|error| error.to_string())?;
        Ok(Self { database, quick_repair })
    }

    fn write(&self, put: &[(Vec<u8>, Vec<u8>)], delete: &[Vec<u8>]) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(self.quick_repair);
        {
            let mut table = transaction.open_table(TABLE)?;
            for (key, value) in put {
                table.insert(key.as_slice(), value.as_slice())?;
            }
            for key in delete {
                table.remove(key.as_slice())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn read(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), redb::Error> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        for entry in table.iter()? {
            let (key, value) = entry?;
            each(key.value(), value.value());
        }
        Ok(())
    }
}

impl Engine for Redb {
    fn commit(&self, put: &[(Vec<u8>, Vec<u8>)], delete: &[Vec<u8>]) -> Result<(), String> {
        self.write(put, delete).map_err(|error| error.to_string())
    }

    fn scan(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String> {
        self.read(each).map_err(|error| error.to_string())
    }

    /// It compacts only while nobody uses it.
    fn tidy(&self) -> Result<(), String> {
        Ok(())
    }
}
