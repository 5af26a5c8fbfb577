select
    orders.order_id, orders.customer_id, orders.status,
    coalesce(payments.status, 'none') as payment_status,
    -- what a customer is shown: the order's own status, or what became of the money
    case
        when orders.status = 'placed' and payments.status = 'unknown' then 'payment_pending'
        when orders.status = 'placed' then 'processing'
        when orders.status in ('confirmed', 'dispatched', 'completed')
            and payments.status in ('refunded', 'partially_refunded') then payments.status
        when orders.status = 'confirmed' and payments.captured > 0 then 'paid'
        else orders.status
    end as display_status,
    orders.reason, orders.currency, orders.total, orders.units,
    coalesce(payments.captured, 0) as captured, coalesce(payments.refunded, 0) as refunded,
    orders.origin, orders.reference, orders.country,
    orders.revision, payments.revision as payment_revision,
    orders.placed_at, orders.updated_at
from orders left join payments on payments.payment_id = orders.order_id
