//! Makes the four roles and the database, or finds that they are there. Doing it twice changes
//! nothing; it never changes the password of a role that it did not make.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};

use super::{Databases, Error, OWNER, PROJECTOR, Passwords, READER, SERVICE};

/// Any number that no other program on the same server would choose for its own lock.
const PROVISIONING: i64 = 0x434f_554e_5445_5246;

/// Makes the four roles and the database `name` where they are missing, and says how to reach it as
/// each role. `admin` may create roles and databases (an owner of the server, or a superuser).
pub async fn provision(
    admin: &PgConnectOptions,
    passwords: &Passwords,
    name: &str,
) -> Result<Databases, Error> {
    // The statements here hold passwords.
    let admin = admin.clone().disable_statement_logging();
    let mut connection = admin.connect().await.map_err(during("connect to the database server"))?;
    // Only a superuser may ask the server not to write a failed statement to its own log.
    let _ = connection.execute("set log_min_error_statement = panic").await;
    execute(&mut connection, "set client_min_messages = warning".to_owned(), "ask for warnings only").await?;
    sqlx::query("select pg_advisory_lock($1)")
        .bind(PROVISIONING)
        .execute(&mut connection)
        .await
        .map_err(during("wait for another process that prepares this server"))?;

    let databases = databases(&admin, passwords, name);
    for (role, password, options) in [
        (OWNER, &passwords.by_role.owner, &databases.owner),
        (SERVICE, &passwords.by_role.service, &databases.service),
        (PROJECTOR, &passwords.by_role.projector, &databases.projector),
        (READER, &passwords.by_role.reader, &databases.reader),
    ] {
        let maintenance = admin.get_database().unwrap_or("postgres");
        let probe = options.clone().database(maintenance);
        ensure_role(&mut connection, role, password, &probe, passwords).await?;
    }
    set_up_roles(&mut connection).await?;
    ensure_database(&mut connection, name).await?;
    connection.close().await.map_err(during("close the provisioning connection"))?;
    Ok(databases)
}

/// How each role reaches `name` on the server of `admin`.
pub(super) fn databases(admin: &PgConnectOptions, passwords: &Passwords, name: &str) -> Databases {
    let role = |role: &str, password: &str| {
        admin.clone().database(name).username(role).password(password).application_name(role)
    };
    Databases {
        owner: role(OWNER, &passwords.by_role.owner),
        service: role(SERVICE, &passwords.by_role.service),
        projector: role(PROJECTOR, &passwords.by_role.projector),
        reader: role(READER, &passwords.by_role.reader),
    }
}

async fn ensure_role(
    connection: &mut PgConnection,
    role: &'static str,
    password: &str,
    probe: &PgConnectOptions,
    passwords: &Passwords,
) -> Result<(), Error> {
    let exists: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
        .bind(role)
        .fetch_one(&mut *connection)
        .await
        .map_err(during("look for a role"))?;
    if !exists {
        let create = format!("create role {role} login password {}", literal(password));
        return execute(connection, create, "create a role").await;
    }
    match probe.connect().await {
        Ok(opened) => opened.close().await.map_err(during("close a connection")),
        Err(sqlx::Error::Database(refused)) if refused.code().as_deref() == Some("28P01") => {
            Err(Error::UnknownPassword { role, passwords: passwords.kept_in.clone() })
        }
        // Right password, but this role may not enter the maintenance database: all we wanted to know.
        Err(sqlx::Error::Database(refused)) if refused.code().as_deref() == Some("42501") => Ok(()),
        Err(source) => Err(Error::Sql { action: "connect as a role that exists", source }),
    }
}

/// The owner runs migrations that make things on behalf of the others; whoever is not a superuser must
/// itself belong to the owner, to make a database for it. What no session of a role may do or be, the
/// role itself says.
async fn set_up_roles(connection: &mut PgConnection) -> Result<(), Error> {
    let grant = format!("grant {SERVICE}, {PROJECTOR}, {READER} to {OWNER}");
    execute(connection, grant, "let the owner act for the other roles").await?;
    let superuser: bool = sqlx::query_scalar("select rolsuper from pg_roles where rolname = current_user")
        .fetch_one(&mut *connection)
        .await
        .map_err(during("ask for our own rights"))?;
    if !superuser {
        execute(connection, format!("grant {OWNER} to current_user"), "join the owner").await?;
    }
    // What is made only where it is missing, and dropped only where it is there, is worth no notice.
    for role in [OWNER, SERVICE, PROJECTOR, READER] {
        let quiet = format!("alter role {role} set client_min_messages = warning");
        execute(connection, quiet, "keep the server from remarking on what is as it should be").await?;
    }
    let read_only = format!("alter role {READER} set default_transaction_read_only = on");
    execute(connection, read_only, "make the reader read-only").await?;
    // A process that is paused in the middle of a transaction keeps its locks, and whoever takes over
    // from it waits for them. None of the service's transactions waits for anything but the database.
    let not_paused = format!("alter role {SERVICE} set idle_in_transaction_session_timeout = '5s'");
    execute(connection, not_paused, "end transactions of processes that are paused").await
}

/// The `C` locale sorts by bytes everywhere, whatever the machine's libraries think of a language.
pub(super) async fn ensure_database(connection: &mut PgConnection, name: &str) -> Result<(), Error> {
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(&mut *connection)
        .await
        .map_err(during("look for the database"))?;
    let database = identifier(name);
    if !exists {
        let create =
            format!("create database {database} owner {OWNER} template template0 encoding 'UTF8' locale 'C'");
        execute(connection, create, "create the database").await?;
    }
    for grant in [
        format!("revoke all on database {database} from public"),
        format!("grant connect on database {database} to {SERVICE}, {READER}"),
        format!("grant connect, create, temporary on database {database} to {OWNER}, {PROJECTOR}"),
    ] {
        execute(connection, grant, "grant the roles their rights on the database").await?;
    }
    Ok(())
}

async fn execute(connection: &mut PgConnection, sql: String, action: &'static str) -> Result<(), Error> {
    connection.execute(AssertSqlSafe(sql)).await.map_err(during(action))?;
    Ok(())
}

fn during(action: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| Error::Sql { action, source }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
