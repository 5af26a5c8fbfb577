//! From bytes to rows. Every fault names its line.

use std::{fs::File, io::Read, path::Path};

use chrono::{DateTime, NaiveDateTime, Utc};
use events::ids::Sku;

use super::Error;

const HEADER: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];

/// One row of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it stands, counted from 1, the header included.
    pub line: u64,
    /// `536365` sells, `C536379` credits, anything else adjusts the books.
    pub invoice: String,
    /// The shop's code of what was sold; also of postage, fees and discounts.
    pub sku: Sku,
    /// May be empty.
    pub description: String,
    /// Units; negative on credits and write-offs.
    pub quantity: i64,
    /// Business time. The file has no time zone; its dates are kept as they are.
    pub date: DateTime<Utc>,
    /// Thousandths of a penny for one unit; negative only in adjustments of the books.
    pub price_thousandths: i64,
    /// The shop's number of the customer; `None` for a guest.
    pub customer: Option<String>,
    /// Where it went.
    pub country: String,
}

/// The whole file, unpacked when it is gzipped.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.display().to_string(), source };
    let mut packed = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut packed)).map_err(unreadable)?;
    if !packed.starts_with(&[0x1f, 0x8b]) {
        return Ok(packed);
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Every row of the file, or the first fault.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Row>, Error> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut records = reader.records();
    match records.next() {
        None => return Err(Error::Empty),
        Some(header) => {
            let header = header.map_err(|error| not_a_row(&error))?;
            if header.iter().ne(HEADER) {
                let found = header.iter().collect::<Vec<_>>().join(",");
                return Err(Error::Header { found, expected: HEADER.join(",") });
            }
        }
    }
    let mut rows = Vec::new();
    for record in records {
        rows.push(row(&record.map_err(|error| not_a_row(&error))?)?);
    }
    if bytes.last() != Some(&b'\n') {
        return Err(Error::Truncated { line: rows.last().map_or(1, |row| row.line) });
    }
    Ok(rows)
}

fn not_a_row(error: &csv::Error) -> Error {
    let line = error.position().map_or(0, csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => format!("{err}"),
        _ => error.to_string(),
    };
    Error::Row { line, reason }
}

fn row(record: &csv::StringRecord) -> Result<Row, Error> {
    let line = record.position().map_or(0, csv::Position::line);
    let wrong = |reason: String| Error::Row { line, reason };
    if record.len() != HEADER.len() {
        return Err(wrong(format!("{} fields instead of {}", record.len(), HEADER.len())));
    }
    let [invoice, sku, description, quantity, date, price, customer, country] =
        [0, 1, 2, 3, 4, 5, 6, 7].map(|index| record.get(index).unwrap_or_default());
    if invoice.is_empty() || invoice.len() > 32 || !invoice.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(wrong(format!(
            "InvoiceNo {invoice:?} is not a number, with or without a letter before it"
        )));
    }
    let date = NaiveDateTime::parse_from_str(date, "%Y-%m-%d %H:%M:%S").map_err(|_| {
        wrong(format!("InvoiceDate {date:?} is not a date and time like 2010-12-01 08:26:00"))
    })?;
    Ok(Row {
        line,
        invoice: invoice.to_owned(),
        sku: sku.trim().parse().map_err(|error| wrong(format!("StockCode: {error}")))?,
        description: description.trim().to_owned(),
        quantity: quantity
            .parse()
            .map_err(|_| wrong(format!("Quantity {quantity:?} is not a whole number of 64 bits")))?,
        date: date.and_utc(),
        price_thousandths: price_thousandths(price).ok_or_else(|| {
            wrong(format!("UnitPrice {price:?} is not an amount of pounds with at most five decimals"))
        })?,
        customer: match customer.strip_suffix(".0").unwrap_or(customer) {
            "" => None,
            number => Some(number.to_owned()),
        },
        country: country.to_owned(),
    })
}

/// Pounds in decimal to thousandths of a penny, exactly or not at all.
fn price_thousandths(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (pounds, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let only_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if pounds.is_empty() || decimals.len() > 5 || !only_digits(pounds) || !only_digits(decimals) {
        return None;
    }
    let fraction: i64 = format!("{decimals:0<5}").parse().ok()?;
    let whole = pounds.parse::<i64>().ok()?.checked_mul(100_000)?.checked_add(fraction)?;
    Some(if negative { -whole } else { whole })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HEAD: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    fn fault(body: &str) -> String {
        parse(format!("{HEAD}{body}").as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_row_is_read_to_the_tenth_of_a_penny() {
        let text =
            format!("{HEAD}536365,85123A,\"HOLDER, WHITE\",6,2010-12-01 08:26:00,0.001,17850.0,France\n");
        let rows = parse(text.as_bytes()).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].price_thousandths, rows[0].quantity, rows[0].line), (100, 6, 2));
        assert_eq!(rows[0].description, "HOLDER, WHITE");
        assert_eq!(rows[0].customer.as_deref(), Some("17850"));
    }

    #[test]
    fn every_fault_names_its_line() {
        let good = "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,France\n";
        for (row, part) in [
            ("536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55\n", "6 fields instead of 8"),
            ("536365,85123A,HOLDER,six,2010-12-01 08:26:00,2.55,1,F\n", "Quantity \"six\""),
            ("536365,85123A,HOLDER,99999999999999999999,2010-12-01 08:26:00,2.55,1,F\n", "64 bits"),
            ("536365,85123A,HOLDER,6,01/12/2010,2.55,1,F\n", "InvoiceDate"),
            ("536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.5p,1,F\n", "UnitPrice"),
            ("536365,,HOLDER,6,2010-12-01 08:26:00,2.55,1,F\n", "StockCode"),
            (",85123A,HOLDER,6,2010-12-01 08:26:00,2.55,1,F\n", "InvoiceNo"),
        ] {
            let fault = fault(&format!("{good}{row}"));
            assert!(fault.starts_with("line 3: ") && fault.contains(part), "{fault}");
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused() {
        let cut = "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United King";
        assert!(fault(cut).contains("cut off"));
    }

    #[test]
    fn another_header_is_refused_with_both() {
        let error = parse(b"Invoice,StockCode\n1,2\n").unwrap_err();
        assert!(matches!(error, Error::Header { ref found, .. } if found == "Invoice,StockCode"), "{error}");
        assert!(matches!(parse(b""), Err(Error::Empty)));
    }

    #[test]
    fn bytes_that_are_no_utf8_are_refused_with_their_line() {
        let mut bytes = HEAD.as_bytes().to_vec();
        bytes.extend(b"536365,85123A,CAF\xe9,6,2010-12-01 08:26:00,2.55,1,France\n");
        let error = parse(&bytes).unwrap_err();
        assert!(matches!(error, Error::Row { line: 2, .. }), "{error}");
    }

    #[test]
    fn a_gzip_that_is_cut_off_is_refused() {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(HEAD.repeat(100).as_bytes()).unwrap();
        let packed = encoder.finish().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &packed[..packed.len() - 12]).unwrap();
        assert!(matches!(read_bytes(file.path()), Err(Error::Unreadable { .. })));
        std::fs::write(file.path(), &packed).unwrap();
        assert_eq!(read_bytes(file.path()).unwrap().len(), HEAD.len() * 100);
    }
}
