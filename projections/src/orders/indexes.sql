create index orders_by_time on orders (placed_at, order_id);
create index orders_by_total on orders (total, order_id);
create index orders_by_status on orders (status, placed_at, order_id);
create index orders_of_customers on orders (customer_id, placed_at, order_id) where customer_id is not null;
