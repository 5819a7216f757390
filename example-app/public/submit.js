// Sends the only form of the page. Without scripts the page has a button for it.
document.forms[0].submit()
