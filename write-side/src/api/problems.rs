//! The types of problem of the command API. A refusal of the domain has a type of its own when a client
//! may want to act on it; the numbers of the rule are members of the problem. Names never change.

platform::problem_types! {
    /// Every type of problem that the command API has of its own.
    pub const PROBLEM_TYPES;

    /// What the command depends on was written by a newer release than the process that was asked, as happens
    /// while one replaces the other. `Retry-After` says when to try again, with the same key; another process
    /// may know more.
    NEWER_RELEASE = 503 "newer-release" "This process is being replaced by a newer one";

    /// Every command carries the header `Idempotency-Key`: one value of 1 to 200 visible characters that
    /// is chosen once for each thing wanted, and sent again with each repeat of it.
    IDEMPOTENCY_KEY_MISSING = 400 "idempotency-key-missing" "The header Idempotency-Key is missing";

    /// `Idempotency-Key` is one value of 1 to 200 visible ASCII characters.
    IDEMPOTENCY_KEY_INVALID = 400 "idempotency-key-invalid" "The header Idempotency-Key cannot be used";

    /// This `Idempotency-Key` came with another request before, and that one was carried out. Choose a
    /// new key for a new request.
    IDEMPOTENCY_KEY_REUSED = 422 "idempotency-key-reused" "The Idempotency-Key was used for another request";

    /// `If-Match` is one entity tag as an answer of this server gave it.
    IF_MATCH_INVALID = 400 "if-match-invalid" "The header If-Match cannot be used";

    /// What `If-Match` names is not the current revision; `current_revision` is. Read it again, and
    /// decide again.
    REVISION_DIFFERS = 412 "revision-differs" "It has changed since you read it";

    /// Others changed the same thing at each of many attempts. Trying again with the same key is safe.
    CONTENDED = 409 "contended" "Too many want to change this at once";

    /// The request leads to more than one entry of the history can hold, or to text that it cannot hold.
    /// Nothing was changed, and repeating it is no use: ask for less at a time.
    CANNOT_BE_KEPT = 422 "cannot-be-kept" "What this leads to cannot be kept";

    /// The product is listed already, with another title or other prices.
    LISTED_OTHERWISE = 409 "listed-otherwise" "The product is listed otherwise already";

    /// The product is offered no longer. List it again to sell it again.
    PRODUCT_WITHDRAWN = 409 "product-withdrawn" "The product is withdrawn";

    /// More units than can be counted: `on_hand` are there, and `delta` more would be too many.
    STOCK_TOO_LARGE = 422 "stock-too-large" "So many units cannot be counted";

    /// `reserved` of the `on_hand` units are held for orders; the adjustment by `delta` would leave fewer.
    ADJUSTS_BELOW_RESERVED = 409 "adjusts-below-reserved" "Units that are held for orders cannot be adjusted away";

    /// `available` units are neither held nor gone, and `requested` were asked for.
    INSUFFICIENT_STOCK = 409 "insufficient-stock" "There is not enough stock";

    /// The hold on the stock is not in a state that allows this.
    RESERVATION_CONFLICT = 409 "reservation-conflict" "The reservation does not allow this";

    /// Some of the lines cannot be sold: there is no such product, it is withdrawn, or it has no price in
    /// this currency. `errors` names every one of them.
    LINES_NOT_SELLABLE = 422 "lines-not-sellable" "Some of the lines cannot be sold";

    /// Nothing is left of some of what was asked for: every unit is held for somebody or gone. `errors` names
    /// every such line. This request places no order; units that are given back can be bought later, also with
    /// the same key.
    SOLD_OUT = 409 "sold-out" "Some of this is sold out";

    /// The order comes to `total`, and the client expected `expected_total`. Show the customer the new
    /// total before trying again.
    TOTAL_DIFFERS = 409 "total-differs" "The total is not the expected one";

    /// An order comes to more than nothing.
    TOTAL_NOT_POSITIVE = 422 "total-not-positive" "The order comes to nothing";

    /// The lines come to more than can be counted.
    TOTAL_TOO_LARGE = 422 "total-too-large" "The order comes to more than can be counted";

    /// An order with this id was placed with other content.
    ALREADY_PLACED = 409 "already-placed" "The order was placed already";

    /// What was asked for comes after the order is confirmed.
    ORDER_NOT_CONFIRMED = 409 "order-not-confirmed" "The order is not confirmed";

    /// Goods leave once the money for them is taken: `captured` is less than `total` so far.
    ORDER_NOT_CAPTURED = 409 "order-not-captured" "The money for the order is not taken yet";

    /// What was asked for comes after the order is dispatched.
    ORDER_NOT_DISPATCHED = 409 "order-not-dispatched" "The order is not dispatched";

    /// The goods have left.
    ORDER_DISPATCHED = 409 "order-dispatched" "The order is dispatched already";

    /// The checkout could not be finished; `reason` says why.
    ORDER_REJECTED = 409 "order-rejected" "The order was rejected";

    /// The order was called off; `reason` says why.
    ORDER_CANCELLED = 409 "order-cancelled" "The order was cancelled";

    /// The payment is in the currency `expected`, not in `given`.
    CURRENCY_DIFFERS = 422 "currency-differs" "The payment is in another currency";

    /// The provider does not hold the money, as far as is known.
    PAYMENT_NOT_AUTHORIZED = 409 "payment-not-authorized" "The payment is not authorized";

    /// The provider declined the payment.
    PAYMENT_DECLINED = 409 "payment-declined" "The payment was declined";

    /// The authorization was or is being given up.
    PAYMENT_GIVEN_UP = 409 "payment-given-up" "The authorization is given up";

    /// `captured` of the `authorized` amount is captured or being captured; `requested` is more than the
    /// rest.
    CAPTURE_EXCEEDS_AUTHORIZATION = 409 "capture-exceeds-authorization" "More than is authorized cannot be captured";

    /// `refunded` of the `captured` amount is refunded or being refunded; `requested` is more than the rest.
    REFUND_EXCEEDS_CAPTURED = 409 "refund-exceeds-captured" "More than is captured cannot be refunded";

    /// The payment has this with another amount, or is past it.
    PAYMENT_CONFLICT = 409 "payment-conflict" "The payment does not allow this";
}
