"""Finance and business functions."""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

from typing import Literal

from xlam_lib.synthesis.library.base import api, steady
from xlam_lib.synthesis.library.pools import COMPANIES, FULL_NAMES
from xlam_lib.synthesis.values import (
    date,
    decimal,
    enum,
    flag,
    fraction,
    items,
    made,
    measurements,
    money,
    one,
    pair,
    percent,
    plain,
    quoted,
    table,
    whole,
)

_CURRENCIES = [
    ("USD", "US dollars", "USD"), ("EUR", "euros", "EUR"), ("GBP", "British pounds", "GBP"),
    ("JPY", "Japanese yen", "JPY"), ("CHF", "Swiss francs", "CHF"), ("CAD", "Canadian dollars", "CAD"),
    ("AUD", "Australian dollars", "AUD"), ("INR", "Indian rupees", "INR"), ("NOK", "Norwegian kroner", "NOK"),
    ("SEK", "Swedish kronor", "SEK"), ("BRL", "Brazilian reais", "BRL"), ("ZAR", "South African rand", "ZAR"),
]  # fmt: skip
_RATES = {
    "USD": 1.0, "EUR": 1.08, "GBP": 1.27, "JPY": 0.0067, "CHF": 1.13, "CAD": 0.73, "AUD": 0.66, "INR": 0.012,
    "NOK": 0.094, "SEK": 0.096, "BRL": 0.18, "ZAR": 0.055,
}  # fmt: skip
_TICKERS = {
    "HLRB": "Helio Robotics", "NWTR": "Northwind Traders", "ASTB": "Aster Bank", "MPLM": "Maple Motors",
    "TIDE": "Tidewater Energy", "VHLT": "Violet Health", "SKYL": "Skylark Airways", "JUNI": "Juniper Foods",
    "QRRY": "Quarry Software", "SLVM": "Silverline Media",
}  # fmt: skip


@api(
    "Finance",
    "exchange_money",
    slots={
        "amount": decimal(5, 9000, 2),
        "source,target": pair(one(_CURRENCIES)),
        "fee_percent": percent(0.5, 4),
    },
    asks=[
        "Convert <{amount} {source} to {target}>[ with a fee of {fee_percent}]",
        "How much is <{amount} {source} in {target}>[ after a {fee_percent} fee]?",
        "<{amount} {source} to {target}>",
        "Please exchange <{amount} {source} into {target}>[, charging {fee_percent}]",
        "I have {amount} {source} left from my trip. What would I get in {target}[ if the bank keeps {fee_percent}]?",
    ],
    missing=[
        "Convert {amount} {source} to another currency",
        "How many {target} would I get for my savings?",
    ],
    bad=("source", "XXQ"),
)
def exchange_money(amount: float, source: str, target: str, fee_percent: float = 0.0) -> float:
    """Convert an amount of money from one currency to another.

    amount: How much to convert.
    source: Three-letter code of the currency to convert from, such as USD.
    target: Three-letter code of the currency to convert to, such as EUR.
    fee_percent: Fee taken off the result, in percent.
    """
    if source not in _RATES or target not in _RATES:
        raise ValueError(f"unknown currency in {source} to {target}")
    return round(amount * _RATES[source] / _RATES[target] * (1 - fee_percent / 100), 2)


@api(
    "Finance",
    "loan.monthly_payment",
    slots={
        "principal": money(2000, 400000, 0.05),
        "annual_rate": percent(1, 12, 0.25),
        "years": whole(2, 30),
    },
    asks=[
        "What is the monthly payment on a loan of <{principal} at {annual_rate} over {years} years>?",
        "Calculate my monthly installment for <a {years}-year loan of {principal} at {annual_rate} interest>",
        "Monthly payment: <{principal}, {annual_rate} a year, {years} years>",
        "I want to borrow {principal} for {years} years at {annual_rate} annual interest. How much would I pay each month?",
        "Work out the monthly rate to repay <{principal} borrowed at {annual_rate} for {years} years>",
    ],
    missing=[
        "What is the monthly payment on a loan of {principal} at {annual_rate}?",
        "What would my loan cost me a month over {years} years?",
    ],
    bad=("years", 0),
)
def monthly_payment(principal: float, annual_rate: float, years: int) -> float:
    """Calculate the monthly payment that repays a loan.

    principal: Amount borrowed, in dollars.
    annual_rate: Yearly interest rate in percent, for example 5 for 5%.
    years: Term of the loan in years.
    """
    months, rate = years * 12, annual_rate / 1200
    if months <= 0:
        raise ValueError("years must be positive")
    return round(principal * rate / (1 - (1 + rate) ** -months) if rate else principal / months, 2)


@api(
    "Finance",
    "project_investment_growth",
    slots={
        "initial_amount": money(100, 60000),
        "return_rate": fraction(1, 12, 0.5),
        "years": whole(2, 40),
        "monthly_deposit": money(20, 900, 0.0),
        "compounding": enum(
            {
                "yearly": ("yearly", "annually"),
                "quarterly": ("quarterly", "every quarter"),
                "monthly": ("monthly", "every month"),
            }
        ),
    },
    asks=[
        "How much will <{initial_amount} be worth after {years} years at a return of {return_rate}>[ with {monthly_deposit} added each month][, compounded {compounding}]?",
        "Project the growth of <{initial_amount} over {years} years at {return_rate}>[, compounding {compounding}]",
        "I'm putting {initial_amount} into a fund that returns {return_rate} a year[ and adding {monthly_deposit} monthly]. What will I have in {years} years?",
        "Investment forecast: <{initial_amount}, {return_rate} return, {years} years>[, compounded {compounding}]",
        "Estimate the final value if I invest <{initial_amount} for {years} years at {return_rate}>[, with deposits of {monthly_deposit} per month]",
    ],
    missing=[
        "How much will {initial_amount} be worth after {years} years?",
        "Project the growth of my savings at {return_rate}",
    ],
)
def project_investment_growth(
    initial_amount: float,
    return_rate: float,
    years: int,
    monthly_deposit: float = 0.0,
    compounding: Literal["yearly", "quarterly", "monthly"] = "yearly",
) -> float:
    """Project the future value of an investment.

    initial_amount: Amount invested at the start, in dollars.
    return_rate: Expected yearly return as a fraction, for example 0.07 for 7%.
    years: How long the money stays invested, in years.
    monthly_deposit: Amount added every month, in dollars.
    compounding: How often interest is compounded.
    """
    periods = {"yearly": 1, "quarterly": 4, "monthly": 12}[compounding]
    balance = initial_amount
    for _ in range(years * periods):
        balance = balance * (1 + return_rate / periods) + monthly_deposit * 12 / periods
    return round(balance, 2)


@api(
    "Finance",
    "getStockQuote",
    slots={
        "symbol": one(list(_TICKERS)),
        "field": enum(
            {
                "price": ("price", "share price"),
                "volume": ("trading volume", "volume"),
                "market_cap": ("market cap", "market capitalization"),
            }
        ),
        "on_date": date(2023, 2025),
    },
    asks=[
        "What is the[ {field}] quote for <{symbol}>[ on {on_date}]?",
        "Get the stock quote of <{symbol}>[ as of {on_date}]",
        "Look up the {field} of <{symbol}>[ on {on_date}]",
        "<{symbol}> stock, {field}",
        "I'm thinking of buying shares of {symbol}. Can you show me the {field}[ for {on_date}]?",
    ],
    missing=["Get me a stock quote[ as of {on_date}]", "What is the {field} of the stock?"],
    bad=("symbol", "ZZZZ"),
)
def get_stock_quote(
    symbol: str, field: Literal["price", "volume", "market_cap"] = "price", on_date: str | None = None
) -> dict:
    """Retrieve a figure of a listed company's stock.

    symbol: Ticker symbol of the stock, such as HLRB.
    field: Which figure to return.
    on_date: Trading day in the format YYYY-MM-DD; the latest one if left out.
    """
    if symbol not in _TICKERS:
        raise ValueError(f"unknown symbol {symbol!r}")
    scale = {"price": 300, "volume": 5_000_000, "market_cap": 90_000_000_000}[field]
    return {
        "symbol": symbol,
        "company": _TICKERS[symbol],
        field: steady(scale / 10, scale, symbol, on_date, field, digits=2),
    }


@api(
    "Finance",
    "split_household_budget",
    slots={
        "income": money(1500, 12000, 0.1),
        "expenses": table(
            "{key} {value}",
            one(["rent", "groceries", "transport", "insurance", "childcare", "utilities", "phone"]),
            whole(20, 1500, 10, words=False),
            2,
            4,
        ),
        "savings_goal": money(50, 1500, 0.0),
    },
    asks=[
        "I earn {income} a month and spend as follows: {expenses}. What is left[ after saving {savings_goal}]?",
        "Check my monthly budget with an income of {income} and these expenses: {expenses}[; I want to save {savings_goal}]",
        "Make a budget: income {income}, expenses {expenses}[, savings goal {savings_goal}]",
        "How much money remains from {income} if my expenses are {expenses}[ and I put {savings_goal} aside]?",
        "Please go through my budget. Income is {income}; expenses are {expenses}",
    ],
    missing=["I earn {income} a month. What is left after my expenses?"],
)
def split_household_budget(income: float, expenses: dict[str, float], savings_goal: float = 0.0) -> dict:
    """Compare a monthly income with expenses and a savings goal.

    income: Monthly income in dollars.
    expenses: Amount in dollars for each kind of expense.
    savings_goal: Amount in dollars to be saved each month.
    """
    left = income - sum(expenses.values())
    return {"left": round(left, 2), "goal_met": left >= savings_goal}


@api(
    "Finance",
    "capital_gains_tax",
    slots={
        "purchase_price": money(200, 50000),
        "sale_price": money(300, 90000),
        "holding_months": whole(2, 80),
        "bracket": enum({"low": "low", "middle": "middle", "high": "high"}),
    },
    asks=[
        "How much tax do I owe on an asset <bought for {purchase_price} and sold for {sale_price} after {holding_months} months>[ in the {bracket} bracket]?",
        "Estimate the capital gains tax: <bought at {purchase_price}, sold at {sale_price}, held {holding_months} months>[, {bracket} bracket]",
        "I sold some shares for {sale_price} that cost me {purchase_price} {holding_months} months earlier. What is the tax[ for the {bracket} bracket]?",
        "Calculate capital gains tax for <a purchase price of {purchase_price}, a sale price of {sale_price} and a holding period of {holding_months} months>",
        "Tax on gains, <cost {purchase_price}, proceeds {sale_price}, {holding_months} months>",
    ],
    missing=["How much capital gains tax do I owe on shares sold for {sale_price}?"],
)
def capital_gains_tax(
    purchase_price: float,
    sale_price: float,
    holding_months: int,
    bracket: Literal["low", "middle", "high"] = "middle",
) -> float:
    """Estimate the tax on the gain from selling an asset.

    purchase_price: What the asset cost, in dollars.
    sale_price: What it was sold for, in dollars.
    holding_months: Months between purchase and sale.
    bracket: Income tax bracket of the seller.
    """
    long = {"low": 0.0, "middle": 0.15, "high": 0.2}[bracket]
    short = {"low": 0.12, "middle": 0.24, "high": 0.37}[bracket]
    return round(max(0.0, sale_price - purchase_price) * (long if holding_months >= 12 else short), 2)


@api(
    "Business",
    "create_invoice",
    slots={
        "customer": one(COMPANIES),
        "amount": money(80, 9000),
        "due_date": date(2025, 2027),
        "tax_rate": percent(5, 25, 1),
        "notes": quoted(
            [
                "Thank you for your business",
                "Second reminder",
                "Payment by bank transfer only",
                "Includes travel costs",
            ]
        ),
    },
    asks=[
        "Create an invoice <for {customer} over {amount}, due {due_date}>[ with {tax_rate} tax][ and the note {notes}]",
        "Bill <{customer} {amount} by {due_date}>[ plus {tax_rate} tax]",
        "Invoice <{customer}: {amount}, due on {due_date}>[, tax {tax_rate}]",
        "We finished the project for {customer}. Please issue an invoice of {amount} payable by {due_date}[, adding {tax_rate} tax]",
        "Could an invoice of {amount} be made out to {customer} with the due date {due_date}[ and the remark {notes}]?",
    ],
    missing=["Create an invoice for {customer}", "Send an invoice of {amount}, due {due_date}"],
)
def create_invoice(
    customer: str, amount: float, due_date: str, tax_rate: float = 0.0, notes: str = ""
) -> dict:
    """Create an invoice for a customer.

    customer: Name of the company or person who pays.
    amount: Net amount in dollars.
    due_date: Date the payment is due, YYYY-MM-DD.
    tax_rate: Tax to add, in percent.
    notes: Free text printed at the bottom.
    """
    number = int(steady(1000, 9999, customer, amount, due_date))
    return {
        "invoice": f"INV-{number}",
        "customer": customer,
        "total": round(amount * (1 + tax_rate / 100), 2),
        "notes": notes,
    }


@api(
    "Business",
    "breakEvenUnits",
    slots={
        "fixed_costs": money(1000, 90000, 0.0),
        "unit_price": money(10, 190),
        "unit_cost": decimal(1, 9, 2),
    },
    asks=[
        "How many units must we sell to break even with <fixed costs of {fixed_costs}, a price of {unit_price} and a unit cost of {unit_cost}>?",
        "Find the break-even point for <fixed costs {fixed_costs}, price {unit_price}, cost per unit {unit_cost}>",
        "Break-even: <{fixed_costs} fixed, sells at {unit_price}, costs {unit_cost} each>",
        "Our bakery has fixed costs of {fixed_costs}. Each cake sells at {unit_price} and costs {unit_cost} to make. How many do we have to sell to cover our costs?",
        "Calculate how many pieces cover <{fixed_costs} of overhead when each sells for {unit_price} and costs {unit_cost}>",
    ],
    missing=["How many units do we need to sell to break even at a price of {unit_price}?"],
)
def break_even_units(fixed_costs: float, unit_price: float, unit_cost: float) -> int:
    """Calculate how many units must be sold to cover all costs.

    fixed_costs: Costs that do not depend on the volume, in dollars.
    unit_price: Selling price of one unit, in dollars.
    unit_cost: Variable cost of one unit, in dollars.
    """
    if unit_price <= unit_cost:
        raise ValueError("price does not exceed cost")
    return int(-(-fixed_costs // (unit_price - unit_cost)))


@api(
    "Business",
    "hr.request_leave",
    slots={
        "employee": one(FULL_NAMES),
        "start_date": date(2025, 2026),
        "days": whole(2, 20),
        "kind": enum(
            {
                "vacation": ("vacation", "holiday"),
                "sick": ("sick leave", "sickness"),
                "parental": "parental leave",
                "unpaid": "unpaid leave",
            }
        ),
        "half_day": flag(["starting with a half day"], ["starting with a full day"]),
    },
    asks=[
        "Request {kind} for <{employee} from {start_date} for {days} days>[, {half_day}]",
        "Please file {kind} for <{employee}: {days} days starting {start_date}>[, {half_day}]",
        "{employee} needs {days} days of {kind} starting on {start_date}. Can you enter that?",
        "Book <{days} days for {employee} beginning {start_date}> as {kind}",
        "Leave request, <{employee}, {start_date}, {days} days>, {kind}",
    ],
    missing=["Request {kind} for {employee}", "Put in {days} days of {kind} starting {start_date}"],
)
def request_leave(
    employee: str,
    start_date: str,
    days: int,
    kind: Literal["vacation", "sick", "parental", "unpaid"],
    half_day: bool = False,
) -> dict:
    """Enter a leave request for an employee.

    employee: Full name of the employee.
    start_date: First day of the leave, YYYY-MM-DD.
    days: Number of working days.
    kind: The kind of leave.
    half_day: Whether the first day is only a half day.
    """
    return {
        "request": f"LR{int(steady(100, 999, employee, start_date))}",
        "days": days - 0.5 * half_day,
        "kind": kind,
    }


@api(
    "Business",
    "forecast_sales",
    slots={
        "history": measurements(20, 900, (4, 7)),
        "periods": whole(2, 6),
        "method": enum(
            {
                "moving_average": ("a moving average", "the moving average method"),
                "linear": ("a linear trend", "linear regression"),
            }
        ),
    },
    asks=[
        "Forecast our sales for the next {periods} months from <{history}>[ using {method}]",
        "Given monthly sales of {history}, what should we expect over the following {periods} months[, using {method}]?",
        "Predict the next {periods} values of the sales series <{history}>[ with {method}]",
        "Sales so far: {history}. Please project {periods} more months[ with {method}]",
        "Our shop sold {history} units in recent months. How many in each of the next {periods}?",
    ],
    missing=["Forecast our sales for the next {periods} months"],
    bad=("history", [1.0]),
)
def forecast_sales(
    history: list[float], periods: int, method: Literal["moving_average", "linear"] = "moving_average"
) -> list[float]:
    """Forecast sales from past periods.

    history: Units sold in past periods, oldest first.
    periods: How many periods to predict.
    method: The forecasting method.
    """
    if len(history) < 2:
        raise ValueError("at least two past periods are needed")
    if method == "moving_average":
        return [round(sum(history[-3:]) / len(history[-3:]), 2)] * periods
    slope = (history[-1] - history[0]) / (len(history) - 1)
    return [round(history[-1] + slope * (step + 1), 2) for step in range(periods)]


@api(
    "Business",
    "crm.add_contact",
    slots={
        "name": one(FULL_NAMES),
        "company": one(COMPANIES),
        "phone": made("+{a} {b} {c}", a=plain(30, 99), b=plain(200, 989), c=plain(100000, 999999)),
        "tags": items(one(["lead", "vip", "partner", "supplier", "press", "investor"]), 1, 3),
    },
    asks=[
        "Add <{name} from {company}> to our contacts[ with the tags {tags}]",
        "Save a new contact: <{name}, {company}>[, phone {phone}][, tags {tags}]",
        "Please put <{name} of {company}> into the CRM[; the phone number is {phone}]",
        "I just met {name}, who works at {company}. Can you store the contact[, tagged {tags}]?",
        "New CRM entry for <{name} at {company}>[, phone number {phone}]",
    ],
    missing=["Add a new contact from {company} to the CRM", "Save {name} in our CRM"],
)
def add_contact(name: str, company: str, phone: str = "", tags: list[str] | None = None) -> dict:
    """Add a contact to the customer database.

    name: Full name of the contact.
    company: Company the contact works for.
    phone: Phone number with country code.
    tags: Labels that group contacts.
    """
    return {"id": int(steady(1, 99999, name, company)), "name": name, "tags": tags or []}
